"""What does a tenant say about the way of its payments?

A policy is a document: rules, of which the first that fits decides, what holds where none fits, the
fees that gateways take, and how far a fallback may go. It is read strictly: a name that nobody
knows is refused rather than left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Literal, TypeAlias

import msgspec

from payengine.errors import RoutingPolicyInvalid
from payengine.money import currency as currency_of
from payengine.plugin import DECLINE_CODES
from payengine.screen import contains_card_number

__all__ = [
    "DEFAULT_POLICY",
    "MAX_EXPLORE_PERCENT",
    "Action",
    "Fallback",
    "Fee",
    "LeastCost",
    "Policy",
    "Priority",
    "Rule",
    "SuccessRate",
    "Weights",
    "When",
    "parse_policy",
    "policy_schema",
    "spell_policy",
]

#: A gateway that is not the best one known gets at most this share, to learn how it does.
MAX_EXPLORE_PERCENT = 10
_MOST_ATTEMPTS = 3
_MOST_RULES = 50
_MOST_NAMES = 100
_MOST_FEES = 500
_MOST_WEIGHT = 1_000_000
_MOST_BYTES = 65_536
_MOST_TEXT = 500
_LARGEST_MINOR = 999_999_999_999
_MOST_BASIS_POINTS = 10_000

_RANGE = re.compile(r"(\d{4,8})(?:-(\d{4,8}))?")
_COUNTRY = re.compile(r"[A-Z]{2}")
_NAME = re.compile(r"[ -~]{1,60}")
_PLACE = re.compile(r" - at `(?:key in )?\$([^`]*)`")


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A part of the document."""


class When(_Part, frozen=True, kw_only=True):
    """All that is given must hold; a fact that is not known fits no condition on it.

    Amounts are in minor units, both ends included, and need `currencies`. A card range is the
    card's first digits: `4111` or `400000-499999`, both ends included.
    """

    currencies: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    amount_from_minor: int | None = None
    amount_to_minor: int | None = None
    card_ranges: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class Priority(_Part, frozen=True, kw_only=True, tag_field="by", tag="priority"):
    """In the order of `gateways`; then the others by name, unless `only` these."""

    gateways: tuple[str, ...] = ()
    only: bool = False


class Weights(_Part, frozen=True, kw_only=True, tag_field="by", tag="weights"):
    """Shares of the payments in proportion to whole numbers; 0 and unnamed ones come last."""

    weights: dict[str, int]
    only: bool = False


class LeastCost(_Part, frozen=True, kw_only=True, tag_field="by", tag="cost"):
    """By the policy's fees, the smallest first; gateways whose fee is not known come last."""


class SuccessRate(_Part, frozen=True, kw_only=True, tag_field="by", tag="success"):
    """By how often payments of the same currency and method succeed there lately."""

    explore_percent: int = 5


Action: TypeAlias = Priority | Weights | LeastCost | SuccessRate


class Rule(_Part, frozen=True, kw_only=True):
    """Where `when` holds, `then` decides, without the gateways of `exclude`."""

    name: str
    then: Action
    when: When = When()
    exclude: tuple[str, ...] = ()


class Fee(_Part, frozen=True, kw_only=True):
    """What a gateway takes of a payment: basis points of the amount, and a fixed part.

    `currency` and `method` narrow it down; the first row that fits counts. A fixed part needs the
    currency whose minor units it counts.
    """

    gateway: str
    basis_points: int = 0
    fixed_minor: int = 0
    currency: str | None = None
    method: str | None = None


class Fallback(_Part, frozen=True, kw_only=True):
    """How many gateways one request may try, and after which declines; none given: the usual.

    `unknown` says what the request itself does about an outcome that is not known, while another
    gateway and time are left: wait for the reconciler, look it up, or look it up and send it again
    with its key; with `void` it also calls off what the gateway then has and does not decide.
    Without an answer to that no other gateway is tried.
    """

    max_attempts: int = 2
    declines: tuple[str, ...] | None = None
    unknown: Literal["wait", "look_up", "send_again", "void"] = "look_up"


class Policy(_Part, frozen=True, kw_only=True):
    """One version of a tenant's say."""

    rules: tuple[Rule, ...] = ()
    otherwise: Action = Priority()
    exclude: tuple[str, ...] = ()
    fees: tuple[Fee, ...] = ()
    fallback: Fallback = Fallback()


#: What holds for a tenant that has activated none.
DEFAULT_POLICY = Policy()


def parse_policy(plain: object, *, gateways: Collection[str] | None = None) -> Policy:
    """The policy that a JSON document spells.

    With `gateways`, every name must be one of them. Raises `RoutingPolicyInvalid`, whose path leads
    to the place.
    """
    try:
        spelled = msgspec.json.encode(plain)
    except (TypeError, ValueError, RecursionError):
        raise RoutingPolicyInvalid("A policy is plain JSON.", path=("policy",)) from None
    if len(spelled) > _MOST_BYTES:
        raise RoutingPolicyInvalid(f"A policy has at most {_MOST_BYTES} bytes.", path=("policy",))
    if b"\\u0000" in spelled:  # PostgreSQL's jsonb cannot hold it.
        raise RoutingPolicyInvalid("The policy contains a NUL.", path=("policy",))
    try:
        policy = msgspec.json.decode(spelled, type=Policy)
    except msgspec.ValidationError as problem:
        raise _refused(problem) from None
    for where, reason in _faults(policy, gateways):
        raise RoutingPolicyInvalid(reason, path=("policy", *where))
    return policy


def spell_policy(policy: Policy) -> dict[str, Any]:
    """The policy as a JSON document, with every default spelled out."""
    plain: dict[str, Any] = msgspec.to_builtins(policy)
    return plain


def policy_schema() -> dict[str, Any]:
    """The JSON Schema of a policy."""
    return msgspec.json.schema(Policy)


def _refused(problem: msgspec.ValidationError) -> RoutingPolicyInvalid:
    words = str(problem)
    place = _PLACE.search(words)
    path = re.findall(r"\w+|\.\.\.", place[1]) if place else []
    said = _PLACE.sub("", words)[:200]
    return RoutingPolicyInvalid(
        f"The policy does not fit its form: {said}.", path=("policy", *path)
    )


_Fault: TypeAlias = tuple[tuple[str, ...], str]


def _faults(policy: Policy, gateways: Collection[str] | None) -> Iterator[_Fault]:
    if len(policy.rules) > _MOST_RULES:
        yield ("rules",), f"At most {_MOST_RULES} rules are allowed."
    names: set[str] = set()
    for place, rule in enumerate(policy.rules):
        at = ("rules", str(place))
        if not _NAME.fullmatch(rule.name) or contains_card_number(rule.name):
            yield (*at, "name"), "A rule's name has 1 to 60 printable characters."
        if rule.name in names:
            yield (*at, "name"), "Two rules have this name."
        names.add(rule.name)
        yield from _when_faults(rule.when, (*at, "when"))
        yield from _action_faults(rule.then, gateways, (*at, "then"))
        yield from _name_faults(rule.exclude, gateways, (*at, "exclude"))
    yield from _action_faults(policy.otherwise, gateways, ("otherwise",))
    yield from _name_faults(policy.exclude, gateways, ("exclude",))
    if len(policy.fees) > _MOST_FEES:
        yield ("fees",), f"At most {_MOST_FEES} fees are allowed."
    for place, fee in enumerate(policy.fees):
        yield from _fee_faults(fee, gateways, ("fees", str(place)))
    yield from _fallback_faults(policy.fallback)


def _when_faults(when: When, at: tuple[str, ...]) -> Iterator[_Fault]:
    for field in ("currencies", "countries", "methods", "card_ranges", "metadata"):
        if len(getattr(when, field)) > _MOST_NAMES:
            yield (*at, _camel(field)), f"At most {_MOST_NAMES} are allowed."
    yield from (((*at, "currencies"), _NO_CURRENCY) for c in when.currencies if not _is_currency(c))
    for country in when.countries:
        if not _COUNTRY.fullmatch(country):
            yield (*at, "countries"), "A country is an ISO 3166 code of two capital letters."
    for method in when.methods:
        if not _NAME.fullmatch(method) or method != method.lower():
            yield (*at, "methods"), "A method is named in lower case, such as card."
    low, high = when.amount_from_minor, when.amount_to_minor
    if (low is not None or high is not None) and not when.currencies:
        yield (*at, "currencies"), "An amount says nothing without the currencies it is meant in."
    for field, bound in (("amountFromMinor", low), ("amountToMinor", high)):
        if bound is not None and not 0 <= bound <= _LARGEST_MINOR:
            yield (*at, field), f"An amount is 0 to {_LARGEST_MINOR}."
    if low is not None and high is not None and low > high:
        yield (*at, "amountToMinor"), "The range ends before it begins."
    for text in when.card_ranges:
        found = _RANGE.fullmatch(text)
        if found is None or (found[2] is not None and len(found[2]) != len(found[1])):
            yield (*at, "cardRanges"), "A card range is 4 to 8 digits, or two such with a hyphen."
        elif found[2] is not None and found[2] < found[1]:
            yield (*at, "cardRanges"), "The range ends before it begins."
    for key, value in when.metadata.items():
        if max(len(key), len(value)) > _MOST_TEXT or contains_card_number(f"{key} {value}"):
            yield (*at, "metadata"), "A text is too long, or looks like a card number."


_NO_CURRENCY = "This is not an active ISO 4217 code."


def _action_faults(
    action: Action, gateways: Collection[str] | None, at: tuple[str, ...]
) -> Iterator[_Fault]:
    if isinstance(action, Priority):
        yield from _name_faults(action.gateways, gateways, (*at, "gateways"))
        if len(set(action.gateways)) < len(action.gateways):
            yield (*at, "gateways"), "A gateway is named twice."
        if action.only and not action.gateways:
            yield (*at, "gateways"), "Only these, and there are none: no payment could be taken."
    elif isinstance(action, Weights):
        yield from _name_faults(action.weights, gateways, (*at, "weights"))
        for name, weight in action.weights.items():
            if not 0 <= weight <= _MOST_WEIGHT:
                yield (*at, "weights", name), f"A weight is 0 to {_MOST_WEIGHT}."
        if not any(action.weights.values()):
            yield (*at, "weights"), "At least one weight is greater than 0."
    elif isinstance(action, SuccessRate) and not 1 <= action.explore_percent <= MAX_EXPLORE_PERCENT:
        yield (*at, "explorePercent"), f"explorePercent is 1 to {MAX_EXPLORE_PERCENT}."


def _name_faults(
    names: Collection[str], gateways: Collection[str] | None, at: tuple[str, ...]
) -> Iterator[_Fault]:
    if len(names) > _MOST_NAMES:
        yield at, f"At most {_MOST_NAMES} gateways are allowed."
    for name in names:
        if not _NAME.fullmatch(name) or (gateways is not None and name not in gateways):
            yield at, "A gateway of this name is not installed."


def _fee_faults(
    fee: Fee, gateways: Collection[str] | None, at: tuple[str, ...]
) -> Iterator[_Fault]:
    yield from _name_faults((fee.gateway,), gateways, (*at, "gateway"))
    if not 0 <= fee.basis_points <= _MOST_BASIS_POINTS:
        yield (*at, "basisPoints"), f"Basis points are 0 to {_MOST_BASIS_POINTS}."
    if not 0 <= fee.fixed_minor <= _LARGEST_MINOR:
        yield (*at, "fixedMinor"), f"A fixed part is 0 to {_LARGEST_MINOR}."
    if fee.fixed_minor and fee.currency is None:
        yield (*at, "currency"), "A fixed part needs the currency in which it is counted."
    if fee.currency is not None and not _is_currency(fee.currency):
        yield (*at, "currency"), _NO_CURRENCY
    if fee.method is not None and not _NAME.fullmatch(fee.method):
        yield (*at, "method"), "A method is named in lower case, such as card."


def _fallback_faults(fallback: Fallback) -> Iterator[_Fault]:
    at = ("fallback",)
    if not 1 <= fallback.max_attempts <= _MOST_ATTEMPTS:
        yield (*at, "maxAttempts"), f"maxAttempts is 1 to {_MOST_ATTEMPTS}."
    for code in fallback.declines or ():
        rule = DECLINE_CODES.get(code)
        if rule is None:
            yield (*at, "declines"), "This code is not in the taxonomy of declines."
        elif rule.decline_class not in ("soft", "technical") or code == "duplicate_transaction":
            yield (*at, "declines"), "After this decline no gateway may be tried at once."


def _is_currency(code: str) -> bool:
    try:
        return currency_of(code).code == code
    except Exception:
        return False


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
