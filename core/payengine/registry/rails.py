"""What did a payout rail say?

The engine's one way to a rail: it finds the tenant's settings, sends through the guard and believes
only results that fit the orders. Silence, nonsense and another amount than was asked are unknown;
`not_sent` is proof that nothing left this house.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, cast, get_args

import msgspec

from payengine.context import TenantContext
from payengine.errors import GatewayUnavailable, PayengineError, PluginNotFound
from payengine.plugin import (
    Amount,
    Call,
    Gateway,
    LookUpPayouts,
    Manifest,
    NotSent,
    PayoutOrder,
    PayoutRail,
    PayoutResult,
    PayoutResultStatus,
    PayoutsTold,
    SendPayouts,
    from_plain,
    to_plain,
)
from payengine.registry.answers import clean_text, said_by
from payengine.registry.guard import Guard
from payengine.registry.loader import InstalledPlugins
from payengine.registry.offered import LoadedRail
from payengine.registry.tenant_settings import TenantSettings

__all__ = ["RailAnswer", "RailDesk"]

#: The guard lets questions have an eighth of a bound, and to it all of a rail's calls are such.
_QUESTIONS = 8
_CODE = re.compile(r"[!-~]{1,100}")
_NAME = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_STATUSES = frozenset(get_args(PayoutResultStatus))


class RailAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine may rely on after one call.

    `told`: `results` has one for each order by its key, `unknown` where the rail said nothing that
    fits. `not_sent` is proof that nothing was sent. `unknown`: no answer. `reason` is a short code
    for the latter two, `detail` a screened sentence.
    """

    kind: Literal["told", "not_sent", "unknown"]
    results: Mapping[str, PayoutResult] = msgspec.field(default_factory=dict)
    reason: str = ""
    detail: str = ""


class RailDesk:
    """The installed payout rails, asked for one tenant at a time."""

    def __init__(self, plugins: InstalledPlugins, settings: TenantSettings, guard: Guard) -> None:
        self._plugins = plugins
        self._settings = settings
        self._guard = guard

    def rail(self, name: str) -> LoadedRail:
        """The rail of this name; raises `PluginNotFound`."""
        found = self._plugins.payout_rails.get(name)
        if found is None:
            raise PluginNotFound(f"No payout rail named {name[:60]!r} is installed.")
        return found

    def find(self, name: str) -> LoadedRail | None:
        """The rail of this name, or None where it is not installed."""
        return self._plugins.payout_rails.get(name)

    async def for_tenant(self, context: TenantContext) -> Sequence[LoadedRail]:
        """The rails by which the tenant may pay out, in the order of their names."""
        opened = await self._settings.opened(context)
        return [
            one
            for one in self._plugins.payout_rails.values()
            if opened[one.plugin].enabled
            and opened[one.plugin].settings is not None
            and not (context.mode != "test" and one.manifest.test_worlds_only)
        ]

    async def send(
        self, context: TenantContext, name: str, request: SendPayouts, *, deadline_ms: int
    ) -> RailAnswer:
        """Send the orders, guarded; raises nothing but the caller's cancellation."""
        return await self._ask(context, name, "send", request, deadline_ms=deadline_ms)

    async def look_up(
        self, context: TenantContext, name: str, request: LookUpPayouts, *, deadline_ms: int
    ) -> RailAnswer:
        """What became of the orders; a rail that was switched off since can still be asked."""
        return await self._ask(context, name, "look_up", request, deadline_ms=deadline_ms)

    async def _ask(
        self,
        context: TenantContext,
        name: str,
        method: Literal["send", "look_up"],
        request: SendPayouts | LookUpPayouts,
        *,
        deadline_ms: int,
    ) -> RailAnswer:
        found = self._plugins.payout_rails.get(name)
        if found is None:
            return RailAnswer(kind="not_sent", reason="not_installed")
        try:
            state = (await self._settings.opened(context))[found.plugin]
        except PayengineError as problem:
            return _unopened(problem.message)
        except Exception as problem:
            return _unopened(type(problem).__name__)
        barred = context.mode != "test" and found.manifest.test_worlds_only
        if barred or (method == "send" and not state.enabled):
            return RailAnswer(kind="not_sent", reason="not_enabled")
        if state.settings is None:
            return _unopened(state.problem or "")
        if method == "look_up" and not found.manifest.lookup:
            return RailAnswer(kind="not_sent", reason="not_supported")
        call = Call(
            account=str(context.tenant_id),
            settings=state.settings,
            deadline_ms=deadline_ms,
            mode=context.mode,
        )
        asked = _Asked(found.rail, method)
        manifest = msgspec.structs.replace(
            found.manifest,
            name=f"rail:{found.name}",
            max_concurrency=_QUESTIONS * found.manifest.max_concurrency,
        )
        try:
            answer = await self._guard.ask(
                context.tenant_id,
                cast(Gateway, asked),
                cast(Manifest, manifest),
                call,
                "ask",
                request=request,
            )
        except GatewayUnavailable as unavailable:
            if not asked.began:
                return RailAnswer(kind="not_sent", reason="bulkhead_full")
            return RailAnswer(kind="unknown", reason="no_answer", detail=unavailable.message)
        if isinstance(answer, NotSent):
            detail = clean_text(said_by(answer))
            return RailAnswer(kind="not_sent", reason="refused_connection", detail=detail)
        return _judged(answer, request.orders, method=method)


class _Asked:
    """A rail as the guard calls one; says whether its code was reached, and keeps `NotSent`."""

    def __init__(self, rail: PayoutRail, method: Literal["send", "look_up"]) -> None:
        self._rail = rail
        self._method = method
        self.began = False

    async def ask(self, call: Call, *, request: SendPayouts | LookUpPayouts) -> object:
        self.began = True
        try:
            return await getattr(self._rail, self._method)(call, request)
        except NotSent as proof:
            return proof


def _unopened(problem: str) -> RailAnswer:
    return RailAnswer(kind="not_sent", reason="settings_unavailable", detail=clean_text(problem))


def _judged(answer: object, orders: Sequence[PayoutOrder], *, method: str) -> RailAnswer:
    """The answer made of fresh, checked values: one result for each order."""
    try:
        told = _read(answer)
    except BaseException as problem:  # re-reading a hostile object may run its code
        detail = clean_text(f"the answer cannot be read: {said_by(problem)}")
        return RailAnswer(kind="unknown", reason="nonsense", detail=detail)
    found: dict[str, PayoutResult] = {}
    twice: set[str] = set()
    for result in told.results:
        twice |= {result.key} & found.keys()
        found[result.key] = result
    results = {}
    for order in orders:
        one = found.get(order.key)
        if one is None or order.key in twice:
            results[order.key] = _unknown(order, "the rail said nothing of it, or two things")
        else:
            results[order.key] = _fitting(order, one, is_send=method == "send")
    return RailAnswer(kind="told", results=results)


def _read(answer: object) -> PayoutsTold:
    if not isinstance(answer, PayoutsTold):
        raise TypeError(f"a {type(answer).__name__}, no PayoutsTold")
    return from_plain(to_plain(answer), PayoutsTold)


def _fitting(order: PayoutOrder, result: PayoutResult, *, is_send: bool) -> PayoutResult:
    if result.status not in _STATUSES or (is_send and result.status == "not_found"):
        return _unknown(order, f"the rail answered {str(result.status)[:60]!r}")
    if result.amount is not None and result.amount != order.amount:
        moved = _shown(result.amount)
        return _unknown(order, f"the rail named {moved}, and {_shown(order.amount)} was asked")
    reference, code = result.provider_reference, result.raw_code
    return PayoutResult(
        key=order.key,
        status=result.status,
        amount=result.amount,
        provider_reference=reference if reference and _NAME.fullmatch(reference) else None,
        failure=result.failure,
        raw_code=clean_text(code, limit=100) if code and _CODE.fullmatch(code) else None,
        detail=clean_text(result.detail),
    )


def _unknown(order: PayoutOrder, detail: str) -> PayoutResult:
    return PayoutResult(key=order.key, status="unknown", detail=clean_text(detail))


def _shown(amount: Amount) -> str:
    return f"{amount.minor} {amount.currency[:3]}"
