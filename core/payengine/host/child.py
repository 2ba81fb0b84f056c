"""What runs inside a plugin host?

This program: it shuts itself in, imports one plugin, and answers what the engine asks on the two
sockets that it was born with. Calls are answered in an event loop; what is a plain function in the
contract, and questions about the plugin itself, in a thread beside it. It imports nothing of the
engine but the plugin contract.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import warnings
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from itertools import islice
from typing import Any

import msgspec
import pluggy

from payengine.host.described import told_of
from payengine.host.jail import NotShutIn, shut_in
from payengine.host.limits import Jail
from payengine.host.wire import (
    DESCRIBE,
    FEATURES,
    HEAD,
    LARGEST_REQUEST,
    METHODS,
    VET,
    Ask,
    Described,
    Fact,
    Span,
    Told,
    decode,
    encode,
    frame,
)
from payengine.plugin import (
    Call,
    DisputeEvent,
    HookSpecs,
    NotSent,
    PluginSettings,
    WalletRefused,
    WebhookEvent,
    WebhookRefused,
)

__all__ = ["Birth", "main"]

_MOST_TEXT = 2_000
_MOST_LINES = 1_000_000


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is told when it starts, as JSON on its command line."""

    calls: int
    desk: int
    jail: Jail
    distribution: str
    plugins: dict[str, str]
    paths: tuple[str, ...]


class _Brought:
    """The plugins' offers, by `plugin:gateway:name`, and each one's settings class."""

    def __init__(self) -> None:
        self.offers: dict[str, tuple[Any, type[PluginSettings]]] = {}
        self.settings: dict[str, list[type[PluginSettings]]] = {}
        self.described: dict[str, Described] = {}

    def shared_settings(self, plugin: str) -> set[type[PluginSettings]]:
        """What the plugin is set up by; a rule that asks nobody has settings of its own."""
        return {
            settings
            for key, (offer, settings) in self.offers.items()
            if key.startswith(f"{plugin}:")
            and (not key.startswith(f"{plugin}:rule:") or offer.describe().remote)
        }

    def load(self, plugin: str, entry: str, *, jail: str) -> Described:
        """Import the plugin and ask what it offers; raises whatever its code raises."""
        module, _, attribute = entry.partition(":")
        source: Any = import_module(module)
        for name in attribute.split(".") if attribute else ():
            source = getattr(source, name)
        hooks = pluggy.PluginManager("payengine")
        hooks.add_hookspecs(HookSpecs)
        hooks.register(source, name=plugin)
        callers = hooks.get_hookcallers(source) or []
        strange = sorted(caller.name for caller in callers if not caller.has_spec())
        if strange or not callers:
            words = f"The contract has no hook named {', '.join(strange)}."
            problem = words if strange else "It implements no hook: mark them with @hookimpl."
            return Described(problem=problem)
        return told_of(
            plugin,
            gateways=[one for answer in hooks.hook.gateways() for one in answer],
            wallets=[one for answer in hooks.hook.wallets() for one in answer],
            rules=[one for answer in hooks.hook.fraud_rules() for one in answer],
            offers=self.offers,
            classes=self.settings.setdefault(plugin, []),
            jail=jail,
        )


def main() -> None:
    """The program; its one argument is a `Birth`."""
    birth = msgspec.json.decode(sys.argv[1], type=Birth)
    sys.argv[:] = [f"payengine plugin host: {birth.distribution}"]
    desk = socket.socket(fileno=birth.desk)
    calls = socket.socket(fileno=birth.calls)
    warnings.simplefilter("ignore")
    # In the server's order: what comes first there comes first here.
    sys.path[:] = [*birth.paths, *(path for path in sys.path if path not in birth.paths)]
    brought = _Brought()
    _load(birth, brought)
    threading.Thread(target=_desk, args=(desk, brought), daemon=True).start()
    asyncio.run(_serve(calls, brought))
    os._exit(0)


def _load(birth: Birth, brought: _Brought) -> None:
    try:
        jail = shut_in(birth.jail)
    except NotShutIn as problem:
        refused = Described(problem=f"It cannot be shut in: {problem}.")
        brought.described = dict.fromkeys(birth.plugins, refused)
        return
    for plugin, entry in birth.plugins.items():
        try:
            brought.described[plugin] = brought.load(plugin, entry, jail=jail)
        except BaseException as problem:
            brought.described[plugin] = Described(problem=_said_by(problem))


def _said_by(problem: BaseException) -> str:
    """The exception's class and words; its `__str__` is the plugin's code and may fail."""
    name = type(problem).__name__
    try:
        words = str(problem)[:_MOST_TEXT]
        words.encode()
    except BaseException:
        return name
    return f"{name}: {words}"


# -- calls -----------------------------------------------------------------------------------------


async def _serve(calls: socket.socket, brought: _Brought) -> None:
    """Answer calls until the engine closes its end."""
    reader, writer = await asyncio.open_connection(sock=calls)
    under_way: dict[int, asyncio.Task[None]] = {}
    while True:
        try:
            length, number = HEAD.unpack(await reader.readexactly(HEAD.size))
            body = await reader.readexactly(min(length, LARGEST_REQUEST))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        ask: Ask = decode(body, Ask)
        if ask.method:
            task = asyncio.create_task(_answer(writer, brought, number, ask))
            under_way[number] = task
            task.add_done_callback(partial(_forget, under_way, number))
        elif number in under_way:
            under_way[number].cancel()


def _forget(under_way: dict[int, asyncio.Task[None]], number: int, _: object) -> None:
    under_way.pop(number, None)


async def _answer(writer: asyncio.StreamWriter, brought: _Brought, number: int, ask: Ask) -> None:
    told = Told("ended")
    try:
        told = await _call(brought, ask)
    except asyncio.CancelledError:
        pass
    except BaseException as problem:
        told = _raised(problem)
    writer.write(frame(number, told))


async def _call(brought: _Brought, ask: Ask) -> Told:
    offer, call, request = _read(brought, ask)
    method = getattr(offer, ask.method)
    if isinstance(request, Span):
        value = await method(call, since=request.since, until=request.until)
        value = list(islice(value, _MOST_LINES + 1))
    elif ask.method == "evaluate":
        # A rule computes and waits for nothing; one that does not end is ended with this process.
        value = method(request, call.settings)
    else:
        value = await method(call, request)
    kind = METHODS[ask.method].answer
    if isinstance(kind, type) and type(value) is not kind:
        return Told("nonsense", f"the answer is a {type(value).__name__}, no {kind.__name__}")
    return _spelled(value)


def _read(brought: _Brought, ask: Ask) -> tuple[Any, Call, Any]:
    """The offer, and its call and request; settings that do not fit prove that nothing is sent."""
    if ask.offer not in brought.offers:
        described = brought.described.get(ask.offer.partition(":")[0], Described())
        raise NotSent(described.problem or "the plugin no longer offers it")
    offer, settings = brought.offers[ask.offer]
    call: Call = decode(ask.call, Call)
    try:
        fitting = msgspec.convert(call.settings, settings)
    except Exception as problem:
        raise NotSent(f"the plugin refuses these settings: {type(problem).__name__}") from None
    request = decode(ask.request, METHODS[ask.method].request)
    return offer, msgspec.structs.replace(call, settings=fitting), request


def _spelled(value: object) -> Told:
    try:
        return Told("answer", value=encode(value))
    except Exception as problem:
        return Told("nonsense", f"the answer cannot be spelled: {_said_by(problem)}")


def _raised(problem: BaseException) -> Told:
    if isinstance(problem, WalletRefused):
        reason, detail = str(problem.reason), str(problem.detail)
        return Told("refused", reason[:_MOST_TEXT], encode(detail[:_MOST_TEXT]))
    if isinstance(problem, WebhookRefused):
        return Told("refused", str(problem)[:_MOST_TEXT])
    if isinstance(problem, NotSent):
        return Told("not_sent", str(problem)[:_MOST_TEXT])
    return Told("raised", _said_by(problem))


# -- the desk --------------------------------------------------------------------------------------


def _desk(desk: socket.socket, brought: _Brought) -> None:
    """Answer questions one by one; when the engine is gone, so is this process."""
    stream = desk.makefile("rb")
    while True:
        head = stream.read(HEAD.size)
        if len(head) < HEAD.size:
            os._exit(0)
        length, number = HEAD.unpack(head)
        body = stream.read(length)
        if len(body) < length:
            os._exit(0)
        try:
            told = _question(brought, decode(body, Ask))
        except BaseException as problem:
            told = _raised(problem)
        try:
            desk.sendall(frame(number, told))
        except OSError:
            os._exit(0)


def _question(brought: _Brought, ask: Ask) -> Told:
    if ask.method == DESCRIBE:
        return Told("answer", value=encode(brought.described))
    if ask.method == VET:
        given = decode(ask.request, dict[str, Any])
        for settings in brought.shared_settings(ask.offer):
            msgspec.convert(given, settings)
        return Told("answer")
    if ask.method == FEATURES:
        rule, settings = brought.offers[ask.offer]
        return _spelled(list(rule.features(decode(ask.request, settings))))
    offer, call, request = _read(brought, ask)
    told: Sequence[object] = offer.parse_webhook(call, request)
    facts = [_fact(event) for event in islice(told, _MOST_LINES)]
    return _spelled(facts)


def _fact(event: object) -> Fact:
    if type(event) is WebhookEvent:
        return Fact(event=event)
    if type(event) is DisputeEvent:
        return Fact(dispute=event)
    raise TypeError(f"an event is a {type(event).__name__}")
