"""Which words pass between the engine and a gateway plugin?

Plain, frozen, serializable messages: the same ones cross a function call in process and a socket
to a plugin host. Amounts are integers in minor units of an ISO 4217 currency, never floats.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from payengine.plugin.network_token import NetworkToken

__all__ = [
    "AcceptDispute",
    "Amount",
    "Authorize",
    "BankDetails",
    "Call",
    "Capture",
    "Decline",
    "DisputeEvent",
    "DisputeEvidence",
    "DisputeReport",
    "DisputeStatus",
    "EvidenceFile",
    "EvidenceText",
    "Increment",
    "Lookup",
    "Message",
    "Movement",
    "NextAction",
    "NotSent",
    "Outcome",
    "OutcomeStatus",
    "PaymentMethod",
    "Refund",
    "Void",
    "WebhookEvent",
    "WebhookRefused",
    "WebhookRequest",
    "from_plain",
    "to_plain",
]


StructT = TypeVar("StructT", bound=msgspec.Struct)


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record; `to_plain` and `from_plain` carry it over a wire."""


class Amount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount: `minor` units (an int of at most 64 bits) of an ISO 4217 `currency`."""

    minor: int
    currency: str


class PaymentMethod(Message, frozen=True, kw_only=True):
    """What the buyer pays with: a provider's token, never a card number.

    `network_token` is what a wallet's token held; `token` then is its name, and charges nothing.
    Only a gateway whose manifest says `network_tokens` ever sees one.
    """

    token: str
    kind: str = "card"
    saved: bool = False
    network_token: NetworkToken | None = None


class Call(Message, frozen=True, kw_only=True):
    """Around every request: whose settings apply and how long the answer may take.

    `settings` are the tenant's opened settings in the form of the plugin's own settings class;
    `account` is an opaque, stable name of the tenant's account at this gateway.
    """

    account: str
    settings: Any
    deadline_ms: int
    mode: Literal["live", "test"] = "test"


class Authorize(Message, frozen=True, kw_only=True):
    """Hold `amount` on the payment method; with `capture`, take it in the same step.

    `key` is the idempotency key to send to the provider: the same key is the same operation.
    `challenge` asks for the buyer to be authenticated (3-D Secure), where the gateway can ask.
    """

    key: str
    amount: Amount
    capture: bool
    payment_method: PaymentMethod
    payment_id: str
    off_session: bool = False
    return_url: str | None = None
    customer_reference: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}
    challenge: bool = False


class Capture(Message, frozen=True, kw_only=True):
    """Take `amount` of what `provider_reference` holds; `final` releases the rest."""

    key: str
    provider_reference: str
    amount: Amount
    final: bool = True


class Void(Message, frozen=True, kw_only=True):
    """Release what is held; `amount` is what the engine believes is still held."""

    key: str
    provider_reference: str
    amount: Amount


class Refund(Message, frozen=True, kw_only=True):
    """Give `amount` of what was captured back to the buyer."""

    key: str
    provider_reference: str
    amount: Amount
    reason: str | None = None


class Increment(Message, frozen=True, kw_only=True):
    """Raise a hold by `amount`."""

    key: str
    provider_reference: str
    amount: Amount


class Lookup(Message, frozen=True, kw_only=True):
    """What became of the operation that was sent with `key`?

    `provider_reference` is the operation's own, or, while that is not known, that of the
    authorization to which it belongs. `sent_at` is when it was sent first.
    """

    key: str
    kind: Literal["authorize", "increment", "capture", "void", "refund"]
    provider_reference: str | None = None
    sent_at: datetime | None = None


class Decline(Message, frozen=True, kw_only=True):
    """A refusal: `code` from the engine's taxonomy, `raw_code` and `raw_text` as they said it."""

    code: str
    raw_code: str
    raw_text: str = ""


class BankDetails(Message, frozen=True, kw_only=True):
    """Where the buyer's bank is to send the money, and with which words.

    `holder` and `iban` name the account, `bic` its bank where it is known. `reference` is what the
    buyer must write, so that the money is recognised; `amount` is what is still missing.
    """

    holder: str
    iban: str
    reference: str
    amount: Amount
    bic: str = ""


class NextAction(Message, frozen=True, kw_only=True):
    """What the buyer must do: open `url` (3-D Secure, approval, a bank's page).

    With `bank_details` the page tells the buyer where to transfer the money; who wants to may show
    them on a page of their own instead.
    """

    kind: Literal["redirect"] = "redirect"
    url: str
    bank_details: BankDetails | None = None


OutcomeStatus = Literal[
    "succeeded",
    "declined",
    "requires_action",
    "pending",
    "not_processed",
    "not_found",
    "unmodelled",
]


class Outcome(Message, frozen=True, kw_only=True):
    """What the provider says of one operation.

    `succeeded` and `pending` carry the `amount` that the provider moved or will move, which the
    engine compares with what it asked. `not_processed` is the provider's proof that it did
    nothing (the manifest lists its raw codes). `not_found` answers a lookup only. `unmodelled` says
    that the provider gave a status that the plugin does not know, which `raw_status` then names:
    nothing changes but that people are told. `fee_minor` is the provider's fee in the amount's
    currency. `expires_at` ends a hold. `address_ok` and `cvc_ok` are the issuer's checks, None
    where it made none.
    """

    status: OutcomeStatus
    provider_reference: str | None = None
    amount: Amount | None = None
    captured: bool = False
    decline: Decline | None = None
    next_action: NextAction | None = None
    fee_minor: int = 0
    expires_at: datetime | None = None
    raw_status: str = ""
    address_ok: bool | None = None
    cvc_ok: bool | None = None


class NotSent(Exception):
    """Nothing left this machine: raise it only before the first byte of the request."""


class WebhookRequest(Message, frozen=True, kw_only=True):
    """A provider's call as it came: headers in lower case, the body's exact bytes."""

    headers: dict[str, str]
    body: bytes
    received_at: datetime


class WebhookEvent(Message, frozen=True, kw_only=True):
    """One verified fact: the operation that was sent with `key` has this outcome.

    `incomplete` says that only a lookup tells all of it: the provider's webhook leaves out the fee.
    """

    event_id: str
    kind: Literal["authorize", "increment", "capture", "void", "refund"]
    key: str | None
    provider_reference: str | None
    outcome: Outcome
    occurred_at: datetime
    incomplete: bool = False


DisputeStatus = Literal["needs_response", "under_review", "won", "lost", "unmodelled"]


class DisputeReport(Message, frozen=True, kw_only=True):
    """A dispute as the provider now tells it.

    `reference` is the provider's id of the dispute; `status` says whose turn it is or who won.
    `amount` is what the buyer's bank takes back and `fee_minor` the provider's fee for it, in the
    same currency; `fee_returned` says that the provider has given that fee back. `reason` is the
    provider's or scheme's reason code, `evidence_due_at` the last instant at which evidence counts.
    A status that the plugin does not know is `unmodelled`, with the provider's own word in
    `raw_status`: the dispute stays as it was, and people are told.
    """

    reference: str
    status: DisputeStatus
    amount: Amount
    raw_status: str = ""
    reason: str = ""
    fee_minor: int = 0
    fee_returned: bool = False
    evidence_due_at: datetime | None = None


class DisputeEvent(Message, frozen=True, kw_only=True):
    """One verified fact of a dispute over the payment that was sent with `key`.

    `provider_reference` names the disputed authorization or capture where the provider's call
    carries no key of ours.
    """

    event_id: str
    key: str | None
    provider_reference: str | None
    dispute: DisputeReport
    occurred_at: datetime


class EvidenceText(Message, frozen=True, kw_only=True):
    """What the merchant says in a dispute, about one `category`."""

    category: str
    text: str


class EvidenceFile(Message, frozen=True, kw_only=True):
    """A document that supports the merchant: `media_type` has been checked against `content`."""

    category: str
    name: str
    media_type: str
    content: bytes


class DisputeEvidence(Message, frozen=True, kw_only=True):
    """Hand all evidence in, once; `provider_reference` is the provider's id of the dispute."""

    key: str
    provider_reference: str
    texts: tuple[EvidenceText, ...] = ()
    files: tuple[EvidenceFile, ...] = ()


class AcceptDispute(Message, frozen=True, kw_only=True):
    """Give the dispute up: the buyer keeps the money."""

    key: str
    provider_reference: str


class WebhookRefused(Exception):
    """The request is not proved to come from the provider, or cannot be read."""


class Movement(Message, frozen=True, kw_only=True):
    """One line of the provider's own books: money that moved for the operation `key`.

    `amount` is gross and signed from the merchant's side: captures positive, refunds negative.
    """

    key: str
    kind: Literal["capture", "refund"]
    provider_reference: str
    amount: Amount
    fee_minor: int
    at: datetime


def to_plain(message: msgspec.Struct) -> dict[str, Any]:
    """The message as JSON-ready builtins."""
    plain: dict[str, Any] = msgspec.to_builtins(message)
    return plain


def from_plain(plain: Any, kind: type[StructT]) -> StructT:
    """The message of class `kind` that `plain` spells; raises `msgspec.ValidationError`."""
    return msgspec.convert(plain, kind)
