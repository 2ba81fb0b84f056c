"""What does an account at the fake hold, and how do its objects find each other?

One `Books` for each API key: every object by its id, the lists in the order in which they were
made, and the events that tell of changes. What the rest of the fake does to them stands in
`fake_stripe_payments` and `fake_stripe_keeping`.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import fake_stripe_objects as objects
from fake_stripe_cards import Card

__all__ = ["Books", "Object", "Problem", "invalid", "missing", "number"]

Object = dict[str, Any]

_MOST_PER_PAGE = 100
_USUAL_PER_PAGE = 10


class Problem(Exception):
    """An error as Stripe answers it."""

    def __init__(self, status: int, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        said = {"type": kind, "message": message, **more}
        self.error: Object = {name: value for name, value in said.items() if value is not None}


def invalid(message: str, *, code: str | None = None, status: int = 400, **more: Any) -> NoReturn:
    """Refuse a request whose parameters cannot be accepted."""
    raise Problem(status, "invalid_request_error", message, code=code, **more)


def missing(kind: str, name: object, *, param: str = "id", status: int = 404) -> NoReturn:
    """Refuse a request about an object that is not there."""
    invalid(f"No such {kind}: '{name}'", code="resource_missing", status=status, param=param)


def number(params: Object, name: str, *, least: int | None = None) -> int | None:
    """An integer parameter; None where it is not given."""
    given = params.get(name)
    if given is None or given == "":
        return None
    if not (isinstance(given, str) and given.lstrip("-").isdigit()):
        invalid(f"Invalid integer: {given}", code="parameter_invalid_integer", param=name)
    found = int(given)
    if least is not None and found < least:
        invalid(f"{name} must be at least {least}", code="parameter_invalid_integer", param=name)
    return found


class Books:
    """One account: `live` or not, `flexible` where its pricing has multicapture and increments."""

    def __init__(
        self, *, live: bool, flexible: bool, url: str, tell: Callable[[Object], None]
    ) -> None:
        """`url` is where the pages for the buyer are; `tell` gets each event."""
        self.live = live
        self.flexible = flexible
        self.url = url
        self._tell = tell
        self.objects: dict[str, Object] = {}
        self.kinds: dict[str, OrderedDict[str, Object]] = {}
        self.cards: dict[str, Card] = {}
        self.ready_off_session: set[str] = set()
        self.later: dict[str, tuple[float, Callable[[], None]]] = {}
        self.key: str | None = None

    def keep(self, made: Object) -> Object:
        """Put a new object into the books."""
        self.objects[made["id"]] = made
        self.kinds.setdefault(made["object"], OrderedDict())[made["id"]] = made
        return made

    def find(self, kind: str, name: object) -> Object:
        """The object of this kind; raises `Problem` 404."""
        found = self.objects.get(name) if isinstance(name, str) else None
        if found is None or found["object"] != kind:
            missing(kind, name)
        return found

    def event(self, kind: str, about: Object) -> None:
        """Tell that something happened to an object, as it now stands."""
        snapshot = copy.deepcopy(about)
        made = objects.event(kind, snapshot, live=self.live, key=self.key, account=None)
        self.keep(made)
        self._tell(made)

    def settle(self, at: float) -> None:
        """Let happen what was to happen by then."""
        due = [name for name, (when, _) in self.later.items() if when <= at]
        for name in due:
            _, act = self.later.pop(name)
            act()

    def page(self, kind: str, url: str, params: Object, keep: Iterable[str] = ()) -> Object:
        """A list, newest first; `keep` names the parameters that must equal the fields."""
        every = reversed(self.kinds.get(kind, OrderedDict()).values())
        wanted = {name: params[name] for name in keep if params.get(name)}
        created = params.get("created") or {}
        spans = {op: int(edge) for op, edge in created.items()} if isinstance(created, dict) else {}
        found = [
            one
            for one in every
            if all(one.get(name) == value for name, value in wanted.items())
            and _within(one["created"], spans)
        ]
        after = params.get("starting_after")
        if after:
            places = [place for place, one in enumerate(found) if one["id"] == after]
            if not places:
                missing(kind, after, param="starting_after", status=400)
            found = found[places[0] + 1 :]
        limit = number(params, "limit", least=1) or _USUAL_PER_PAGE
        limit = min(limit, _MOST_PER_PAGE)
        return objects.listed(url, found[:limit], has_more=len(found) > limit)

    def shown(self, answer: Object, expand: object) -> Object:
        """A copy of the answer with the fields in `expand` shown in full."""
        shown = copy.deepcopy(answer)
        for path in expand if isinstance(expand, list) else ():
            self._expand(shown, str(path).split("."))
        return shown

    def _expand(self, at: Any, path: list[str]) -> None:
        if not path or not isinstance(at, dict):
            return
        name, *rest = path
        inner = at.get(name)
        if isinstance(inner, list):
            for one in inner:
                self._expand(one, rest)
            return
        if isinstance(inner, str) and inner in self.objects:
            inner = at[name] = copy.deepcopy(self.objects[inner])
        self._expand(inner, rest)

    def line(
        self, *, amount: int, currency: str, fee: int, kind: str, source: str, note: str | None
    ) -> Object:
        """A new line in the account's own books."""
        return self.keep(
            objects.balance_transaction(
                amount=amount,
                currency=currency,
                fee=fee,
                kind=kind,
                source=source,
                description=note,
            )
        )


def _within(created: int, spans: dict[str, int]) -> bool:
    holds = {
        "gte": lambda edge: created >= edge,
        "gt": lambda edge: created > edge,
        "lte": lambda edge: created <= edge,
        "lt": lambda edge: created < edge,
    }
    return all(holds[op](edge) for op, edge in spans.items() if op in holds)
