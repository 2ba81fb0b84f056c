"""Which words pass between the engine and a plugin host?

Each frame is a head of twelve bytes (length of the body, number of the call, both big-endian) and
a body in MessagePack. The number stands in the head so that a body too long for its call is never
read. Requests and answers are the plugin contract's own messages.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

import msgspec

from payengine.plugin import (
    AcceptDispute,
    Authorize,
    Capture,
    DisputeEvent,
    DisputeEvidence,
    Feature,
    ForgetMethod,
    FraudContext,
    Increment,
    Lookup,
    LookupMethod,
    Movement,
    OpenedToken,
    OpenToken,
    Outcome,
    Refund,
    RuleVerdict,
    SavedToken,
    SaveMethod,
    StartSession,
    Void,
    WalletSession,
    WebhookEvent,
    WebhookRequest,
)
from payengine.plugin.network_token import read_from_host, spell_for_host

__all__ = [
    "DESCRIBE",
    "FEATURES",
    "HEAD",
    "LARGEST_ANSWER",
    "LARGEST_REQUEST",
    "METHODS",
    "VET",
    "Ask",
    "Described",
    "Fact",
    "Features",
    "Method",
    "Offer",
    "Shape",
    "Span",
    "Told",
    "Verdict",
    "decode",
    "encode",
    "frame",
]

HEAD = struct.Struct("!IQ")
#: A request carries at most the documents of a dispute.
LARGEST_REQUEST = 64 * 1024 * 1024
_SMALL = 64 * 1024
LARGEST_ANSWER = 8 * 1024 * 1024
#: Questions about the plugin itself.
DESCRIBE = "describe"
VET = "vet"
FEATURES = "features"

Verdict = Literal["answer", "raised", "not_sent", "refused", "nonsense", "ended"]


class Span(msgspec.Struct, frozen=True):
    """The request of `movements`."""

    since: Any
    until: Any


class Fact(msgspec.Struct, frozen=True):
    """One event of a webhook; exactly one of the two."""

    event: WebhookEvent | None = None
    dispute: DisputeEvent | None = None


class Method(msgspec.Struct, frozen=True):
    """What a method takes and gives, and how long its answer may be in bytes."""

    request: Any
    answer: Any
    largest: int = _SMALL


#: Every method that crosses the wire.
METHODS: dict[str, Method] = {
    "authorize": Method(Authorize, Outcome),
    "capture": Method(Capture, Outcome),
    "void": Method(Void, Outcome),
    "refund": Method(Refund, Outcome),
    "lookup": Method(Lookup, Outcome),
    "parse_webhook": Method(WebhookRequest, list[Fact], LARGEST_ANSWER),
    "increment": Method(Increment, Outcome),
    "submit_evidence": Method(DisputeEvidence, Outcome),
    "accept_dispute": Method(AcceptDispute, Outcome),
    "movements": Method(Span, list[Movement], LARGEST_ANSWER),
    "save_method": Method(SaveMethod, SavedToken),
    "lookup_method": Method(LookupMethod, SavedToken),
    "forget_method": Method(ForgetMethod, SavedToken),
    "open_token": Method(OpenToken, OpenedToken),
    "start_session": Method(StartSession, WalletSession, 4 * _SMALL),
    "score": Method(FraudContext, RuleVerdict),
    "evaluate": Method(FraudContext, RuleVerdict),
}

#: What a rule reads under its settings.
Features = list[Feature]


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """Do this, or with an empty `method`: let go of that call.

    `offer` is the gateway, wallet or rule, `call` its `Call` and `request` what the method takes.
    """

    offer: str
    method: str
    call: msgspec.Raw = msgspec.Raw(b"\xc0")
    request: msgspec.Raw = msgspec.Raw(b"\xc0")


class Told(msgspec.Struct, frozen=True, array_like=True):
    """How a call ended. `text` is for people, or the reason of a wallet's refusal."""

    verdict: Verdict
    text: str = ""
    value: msgspec.Raw = msgspec.Raw(b"\xc0")


class Shape(msgspec.Struct, frozen=True):
    """A class of settings: its name and its JSON Schema."""

    name: str
    schema: dict[str, Any]


class Offer(msgspec.Struct, frozen=True):
    """A gateway, a wallet or a fraud rule: its manifest without the settings, and its methods.

    `shape` is the number of its settings' shape in `Described.shapes`.
    """

    manifest: dict[str, Any]
    methods: list[str]
    shape: int


class Described(msgspec.Struct, frozen=True):
    """What a plugin offers; `problem` says why it cannot be used, `jail` what shuts it in."""

    problem: str = ""
    gateways: list[Offer] = []
    wallets: list[Offer] = []
    rules: list[Offer] = []
    shapes: list[Shape] = []
    jail: str = ""


_ENCODER = msgspec.msgpack.Encoder(enc_hook=spell_for_host)
_DECODERS: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


def encode(value: object) -> msgspec.Raw:
    """The value in MessagePack; a network token is spelled here and nowhere else."""
    return msgspec.Raw(_ENCODER.encode(value))


def decode(spelled: bytes | msgspec.Raw | memoryview, kind: Any) -> Any:
    """The value of the kind; raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.msgpack.Decoder(kind, dec_hook=read_from_host)
    return decoder.decode(spelled)


def frame(number: int, body: msgspec.Struct) -> bytes:
    """The frame of a call's number."""
    spelled = _ENCODER.encode(body)
    return HEAD.pack(len(spelled), number) + spelled
