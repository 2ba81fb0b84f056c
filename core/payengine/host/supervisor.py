"""Does the plugin host run, and may it be started again?

It is started by the first call that needs it, again after it died, and ever more rarely while it
keeps dying. What cannot be handed to it was not sent; what was out when it died is unknown.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from payengine.host.connection import Connection
from payengine.host.limits import HostLimits
from payengine.host.process import DeskFailed, Process, start
from payengine.host.wire import (
    DESCRIBE,
    FEATURES,
    LARGEST_ANSWER,
    METHODS,
    VET,
    Ask,
    Described,
    Fact,
    Features,
    Method,
    Told,
    decode,
    encode,
)
from payengine.plugin import (
    Call,
    DisputeEvent,
    Feature,
    NotSent,
    Outcome,
    PluginSettings,
    WalletRefused,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
)

__all__ = ["HostHealth", "HostedPluginRaised", "PluginHost", "Unreadable"]

#: Pauses before starting again: none after the first death, then doubling.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
#: However it dies: at most so many starts in a minute.
_MOST_STARTS = 60
_STARTS_WITHIN_S = 60.0
#: A call waits for a start, and for a pause before it, this part of its time.
_WAITING = 0.8
_VET_S = 2.0
_MOST_FEATURES_BYTES = 262_144


class HostedPluginRaised(Exception):
    """The plugin raised this in its host."""


class Unreadable:
    """An answer of a hosted plugin that does not fit the contract."""

    def __init__(self, detail: str) -> None:
        self.detail = detail


class HostHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a host is. `deaths` count since the engine started; `jail` names what shuts it in."""

    state: Literal["resting", "running", "pausing"]
    deaths: int
    last_problem: str
    jail: str


class PluginHost:
    """The one host of a distribution, for any thread and one event loop at a time."""

    def __init__(
        self,
        *,
        distribution: str,
        plugins: Mapping[str, str],
        limits: HostLimits | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`plugins` are its entry points: name → `module` or `module:object`."""
        self.distribution = distribution
        self._plugins = dict(plugins)
        self._limits = limits or HostLimits()
        self._environment = os.environ if environment is None else environment
        self._lock = threading.RLock()
        self._process: Process | None = None
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._starts: deque[float] = deque(maxlen=_MOST_STARTS)
        self._closings = 0
        self._failures = 0
        self._paused_until = 0.0
        self._deaths = 0
        self._last_problem = ""
        self._jail = ""

    def health(self) -> HostHealth:
        """How it is now."""
        process = self._process
        state: Literal["resting", "running", "pausing"] = "resting"
        if process is not None and process.is_alive():
            state = "running"
        elif self._pause() > 0:
            state = "pausing"
        return HostHealth(
            state=state, deaths=self._deaths, last_problem=self._last_problem, jail=self._jail
        )

    @property
    def pid(self) -> int | None:
        """The running process's id."""
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    # -- without an event loop -------------------------------------------------------------------

    def describe(self, plugin: str) -> Described:
        """What the plugin offers, started for it if need be; `problem` says why it cannot."""
        try:
            process = self._fresh()
            told = process.desk.ask(
                Ask(plugin, DESCRIBE), largest=LARGEST_ANSWER, timeout_s=self._limits.load_s
            )
            described: Described = decode(told.value, dict[str, Described])[plugin]
        except (DeskFailed, NotSent, OSError, KeyError, msgspec.MsgspecError) as problem:
            words = f"Its host failed while loading: {problem}"
            started = self._process
            if started is not None:
                started.wait_a_moment()
                if not started.is_alive():
                    words = f"Its host failed while loading: {started.ending()}{started.said()}"
                self._died(started, words)
            return Described(problem=words)
        self._jail = described.jail
        return described

    def rest(self) -> None:
        """End the process until it is needed; call it from no event loop."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.leave()

    def vet(self, plugin: str, plain: Mapping[str, Any]) -> str:
        """What the plugin's own code finds wrong with settings, or ""."""
        try:
            told = self._desk_ask(
                Ask(plugin, VET, request=encode(dict(plain))), timeout_s=_VET_S, largest=65_536
            )
        except DeskFailed as problem:
            return f"its host failed: {problem}"
        return "" if told.verdict == "answer" else told.text

    def features(self, rule: str, settings: PluginSettings) -> Sequence[Feature]:
        """What the rule reads under these settings; may take two seconds.

        Raises `ValueError` with the reason where it does not say.
        """
        ask = Ask(rule, FEATURES, request=encode(settings))
        try:
            told = self._desk_ask(ask, timeout_s=_VET_S, largest=_MOST_FEATURES_BYTES)
        except (DeskFailed, OSError) as problem:
            raise ValueError(f"its host failed: {problem}") from None
        if told.verdict != "answer":
            raise ValueError(told.text)
        try:
            found: Features = decode(told.value, Features)
        except msgspec.MsgspecError as problem:
            raise ValueError(f"its features cannot be read: {problem}") from None
        return found

    def parse_webhook(
        self, offer: str, call: Call, request: WebhookRequest
    ) -> list[WebhookEvent | DisputeEvent]:
        """The events; raises `WebhookRefused` for all else."""
        method = METHODS["parse_webhook"]
        ask = Ask(offer, "parse_webhook", encode(call), encode(request))
        try:
            told = self._desk_ask(ask, timeout_s=call.deadline_ms / 1000, largest=method.largest)
            if told.verdict != "answer":
                raise WebhookRefused(told.text)
            facts: list[Fact] = decode(told.value, method.answer)
        except (DeskFailed, NotSent) as problem:
            raise WebhookRefused(f"its host failed: {problem}") from None
        except msgspec.MsgspecError as problem:
            raise WebhookRefused(f"its events cannot be read: {problem}") from None
        return [event for fact in facts if (event := fact.event or fact.dispute) is not None]

    # -- with one --------------------------------------------------------------------------------

    async def call(self, offer: str, name: str, call: Call, request: object) -> Any:
        """What the plugin's method returned; raises what it raised, `NotSent` and `HostLost`."""
        method = METHODS[name]
        ask = Ask(offer, name, encode(call), encode(request))
        try:
            async with asyncio.timeout(_WAITING * call.deadline_ms / 1000):
                connection = await self._ready()
        except TimeoutError:
            raise NotSent("its plugin host was not ready in time") from None
        except (DeskFailed, OSError) as problem:
            raise NotSent(f"its plugin host cannot be started: {problem}") from None
        told = await connection.ask(ask, largest=method.largest)
        self._failures //= 2
        return _answer(told, method)

    async def aclose(self) -> None:
        """End the process, if it runs; it may be needed again later."""
        connecting, self._connecting = self._connecting, None
        connection, self._connection = self._connection, None
        with self._lock:
            self._closings += 1
        if connecting is not None and connecting.get_loop() is asyncio.get_running_loop():
            connecting.cancel()
        if connection is not None:
            connection.close()
        await asyncio.get_running_loop().run_in_executor(None, self.rest)

    # -- inside ----------------------------------------------------------------------------------

    async def _ready(self) -> Connection:
        loop = asyncio.get_running_loop()
        held = self._connection
        if held is not None and held.is_open and held.loop is loop:
            return held
        connecting = self._connecting
        if connecting is None or connecting.done() or connecting.get_loop() is not loop:
            connecting = self._connecting = loop.create_task(self._connect())
            # Whoever waits for it may have gone when it fails.
            connecting.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(connecting)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        held, self._connection = self._connection, None
        if held is not None and held.is_open:  # of another event loop, which is over
            held.is_open = False
            with self._lock:
                process, self._process = self._process, None
            if process is not None:
                process.kill()
        closings = self._closings
        await asyncio.sleep(self._pause())
        process = await loop.run_in_executor(None, self._loaded, closings)
        process.is_adopted = True
        process.calls.setblocking(False)
        _, connection = await loop.create_connection(
            lambda: Connection(process, grace_s=self._limits.grace_s, ended=self._died),
            sock=process.calls,
        )
        self._connection = connection
        return connection

    def _loaded(self, closings: int) -> Process:
        """A process that has imported its plugins: a call to it does not wait for that."""
        with self._lock:
            if closings != self._closings:
                raise DeskFailed("it was closed meanwhile")
            process = self._fresh()
        try:
            process.desk.ask(
                Ask("", DESCRIBE), largest=LARGEST_ANSWER, timeout_s=self._limits.load_s
            )
        except DeskFailed as problem:
            self._died(process, f"it failed while loading: {problem}")
            raise
        return process

    def _desk_ask(self, ask: Ask, *, timeout_s: float, largest: int) -> Told:
        if self._pause() > timeout_s:
            raise DeskFailed(f"it rests, because {self._last_problem}")
        process = self._fresh()
        try:
            return process.desk.ask(ask, largest=largest, timeout_s=timeout_s)
        except DeskFailed as problem:
            self._died(process, str(problem))
            raise

    def _fresh(self) -> Process:
        """The running process, or a new one; raises `OSError` where none can be started."""
        with self._lock:
            if self._process is not None and self._process.is_alive():
                return self._process
            if self._process is not None:
                self._died(self._process, self._process.ending())
            self._starts.append(time.monotonic())
            self._process = start(
                distribution=self.distribution,
                plugins=self._plugins,
                limits=self._limits,
                environment=self._environment,
            )
            return self._process

    def _died(self, process: Process, reason: str) -> None:
        """Count a death once, whoever saw it first."""
        process.kill()
        with self._lock:
            if process is not self._process:
                return
            self._process = None
            self._deaths += 1
            self._last_problem = reason
            self._failures += 1
            doublings = self._failures - 2
            pause = 0.0 if doublings < 0 else _FIRST_PAUSE_S * 2 ** min(doublings, 10)
            self._paused_until = time.monotonic() + min(pause, _LONGEST_PAUSE_S)

    def _pause(self) -> float:
        """How many seconds until it may be started."""
        now = time.monotonic()
        until = self._paused_until
        if len(self._starts) == _MOST_STARTS:
            until = max(until, self._starts[0] + _STARTS_WITHIN_S)
        return max(0.0, until - now)


def _answer(told: Told, method: Method) -> Any:
    if told.verdict == "answer":
        try:
            return decode(told.value, method.answer)
        except msgspec.MsgspecError as problem:
            return _strange(told, method) or Unreadable(str(problem))
    if told.verdict == "nonsense":
        return Unreadable(told.text)
    if told.verdict == "not_sent":
        raise NotSent(told.text)
    if told.verdict == "refused":
        try:
            detail = decode(told.value, str | None)
        except msgspec.MsgspecError:
            detail = None
        raise WalletRefused(told.text, detail or "")  # type: ignore[arg-type]
    raise HostedPluginRaised(told.text or "the call cancelled itself")


def _strange(told: Told, method: Method) -> Outcome | None:
    """An outcome with a status that the contract does not know: it is kept, and moves nothing."""
    if method.answer is not Outcome:
        return None
    try:
        plain = decode(told.value, dict[str, Any])
    except msgspec.MsgspecError:
        return None
    status, raw = plain.get("status"), plain.get("raw_status")
    if not isinstance(status, str) or status in _STATUSES:
        return None
    return Outcome(status="unmodelled", raw_status=raw if isinstance(raw, str) and raw else status)


_STATUSES = frozenset(
    ("succeeded", "declined", "requires_action", "pending", "not_processed", "not_found")
)
