"""What if a plugin raises, hangs, refuses to be cancelled, or answers nonsense?

Then the caller still gets an `Answer` by its deadline, and nobody else notices. Each call runs in
a task of its own, because a task is the one thing that can be abandoned. The guard holds against
raising, hanging on I/O and nonsense; against burning CPU in this process nothing holds.
"""

from __future__ import annotations

import asyncio
import uuid

import msgspec

from payengine.errors import GatewayUnavailable
from payengine.plugin import Amount, Authorize, Call, Gateway, Manifest, NotSent
from payengine.registry.answers import Answer, CallKind, clean_text, judge, said_by
from payengine.registry.breaker import Breakers, BreakerState
from payengine.registry.bulkhead import Bulkhead

__all__ = ["Guard"]

_FULL = Answer(
    kind="not_sent", reason="bulkhead_full", detail="too many calls to this gateway are in flight"
)
_OPEN = Answer(
    kind="not_sent", reason="breaker_open", detail="this gateway failed several times in a row"
)
_PASSED = Answer(kind="not_sent", reason="deadline_passed", detail="no time was left to send it")
_UNSUPPORTED = Answer(
    kind="not_sent", reason="not_supported", detail="the gateway does not offer this operation"
)
_LATE = Answer(kind="unknown", reason="timeout", detail="no answer by the deadline")
_STOPPED = Answer(kind="unknown", reason="raised", detail="the call cancelled itself")
#: Reasons after which the breaker counts a failure.
_FAILURES = frozenset({"timeout", "raised", "nonsense", "refused_connection"})


class _Raised:
    """What a plugin raised, carried as a value.

    A task must not end with SystemExit or KeyboardInterrupt: the event loop would raise them
    again and stop the whole process.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _contained(
    gateway: object, method: str, arguments: tuple[object, ...], options: dict[str, object]
) -> object:
    try:
        return await getattr(gateway, method)(*arguments, **options)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return _Raised(error)


class Guard:
    """The guard of every gateway in this process; knows nothing of tenants but their ids."""

    def __init__(self, *, breakers: Breakers | None = None) -> None:
        """`breakers` set another threshold or another rest than usual."""
        self._breakers = breakers or Breakers()
        self._money: dict[str, Bulkhead] = {}
        self._lookups: dict[str, Bulkhead] = {}

    def breaker_state(self, tenant_id: uuid.UUID, gateway: str) -> BreakerState:
        """Whether the tenant's calls to the gateway go out at present."""
        return self._breakers.state(tenant_id, gateway, at=asyncio.get_running_loop().time())

    def in_flight(self, gateway: str) -> int:
        """The gateway's calls that have not ended, abandoned ones included."""
        return sum(
            lane[gateway].in_flight for lane in (self._money, self._lookups) if gateway in lane
        )

    async def call(
        self,
        tenant_id: uuid.UUID,
        gateway: Gateway,
        manifest: Manifest,
        call: Call,
        kind: CallKind,
        request: msgspec.Struct,
        *,
        asked: Amount | None = None,
    ) -> Answer:
        """Call the gateway's method `kind`; always answers within `call.deadline_ms`.

        `asked` is the amount that the answer must name, by default the request's own. Only the
        caller's own cancellation is raised; the plugin's task is then cancelled too.
        """
        loop = asyncio.get_running_loop()
        name = manifest.name
        is_lookup = kind == "lookup"
        if not (manifest.lookup if is_lookup else kind in manifest.operations):
            return _UNSUPPORTED
        if call.deadline_ms <= 0:
            return _PASSED
        lane = self._lane(manifest, is_lookup=is_lookup)
        if not lane.has_room(tenant_id):
            return _FULL
        # A lookup is how an unknown outcome ends: it goes out while the breaker is open. The
        # breaker comes last, because the probe that it lets through must go out.
        if not is_lookup and not self._breakers.admits(tenant_id, name, at=loop.time()):
            return _OPEN
        try:
            value = await self._run(
                lane, tenant_id, gateway, kind, (call, request), deadline_ms=call.deadline_ms
            )
        except BaseException:
            if not is_lookup:
                self._breakers.release(tenant_id, name)
            raise
        answer = _weigh(value, kind=kind, request=request, manifest=manifest, asked=asked)
        if not is_lookup:
            failed = answer.reason in _FAILURES
            self._breakers.settle(tenant_id, name, failed=failed, at=loop.time())
        return answer

    async def ask(
        self,
        tenant_id: uuid.UUID,
        gateway: Gateway,
        manifest: Manifest,
        call: Call,
        method: str,
        **options: object,
    ) -> object:
        """A question that moves no money, such as `movements`; returns what the plugin returned.

        Raises `GatewayUnavailable` where the bulkhead is full, the deadline passes or the plugin
        raises.
        """
        lane = self._lane(manifest, is_lookup=True)
        if not lane.has_room(tenant_id):
            raise GatewayUnavailable(_FULL.detail)
        value = await self._run(
            lane, tenant_id, gateway, method, (call,), options, deadline_ms=call.deadline_ms
        )
        if value is _LATE or value is _STOPPED:
            raise GatewayUnavailable(f"{manifest.title} did not answer {method} in time.")
        if isinstance(value, _Raised):
            raise GatewayUnavailable(clean_text(said_by(value.error)))
        return value

    def _lane(self, manifest: Manifest, *, is_lookup: bool) -> Bulkhead:
        lanes = self._lookups if is_lookup else self._money
        lane = lanes.get(manifest.name)
        if lane is None:
            limit = manifest.max_concurrency
            lane = lanes[manifest.name] = Bulkhead(max(2, limit // 8) if is_lookup else limit)
        return lane

    async def _run(
        self,
        lane: Bulkhead,
        tenant_id: uuid.UUID,
        gateway: object,
        method: str,
        arguments: tuple[object, ...],
        options: dict[str, object] | None = None,
        *,
        deadline_ms: int,
    ) -> object:
        """What the plugin returned, `_Raised`, `_LATE` or `_STOPPED`."""
        loop = asyncio.get_running_loop()
        timeout_s = deadline_ms / 1000
        ends_at = loop.time() + timeout_s
        task = loop.create_task(_contained(gateway, method, arguments, options or {}))
        lane.hold(task, tenant_id)
        try:
            await asyncio.wait((task,), timeout=timeout_s)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            # Not awaited: it may swallow the cancellation. It keeps its place until it ends.
            task.cancel()
            return _LATE
        if task.cancelled():
            return _STOPPED
        return _LATE if loop.time() > ends_at else task.result()


def _weigh(
    value: object,
    *,
    kind: CallKind,
    request: msgspec.Struct,
    manifest: Manifest,
    asked: Amount | None,
) -> Answer:
    if value is _LATE or value is _STOPPED:
        return _LATE if value is _LATE else _STOPPED
    if isinstance(value, _Raised):
        detail = clean_text(said_by(value.error))
        if isinstance(value.error, NotSent):
            return Answer(kind="not_sent", reason="refused_connection", detail=detail)
        return Answer(kind="unknown", reason="raised", detail=detail)
    return judge(
        value,
        kind=kind,
        asked=asked or getattr(request, "amount", None),
        manifest=manifest,
        capture=request.capture if isinstance(request, Authorize) else None,
    )
