"""What did the gateway's answer mean?

`judge` turns whatever a plugin returned into one of three answers: an outcome that may be booked,
proof that nothing was done, or unknown. It never guesses: an answer that does not fit the contract
or names another amount than was asked is unknown, so that only evidence ends it.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import msgspec

from payengine.plugin import (
    Amount,
    BankDetails,
    Decline,
    DisputeEvent,
    Manifest,
    OperationKind,
    Outcome,
    OutcomeStatus,
    WebhookEvent,
)
from payengine.plugin import from_plain as _from_plain
from payengine.plugin import to_plain as _to_plain
from payengine.screen import contains_card_number, redact

__all__ = ["Answer", "AnswerKind", "CallKind", "clean_text", "judge", "judge_event", "said_by"]

AnswerKind = Literal["outcome", "not_sent", "unknown"]
CallKind = Literal[
    "authorize",
    "increment",
    "capture",
    "void",
    "refund",
    "lookup",
    "submit_evidence",
    "accept_dispute",
]

_MAX_MINOR = 999_999_999_999
_MAX_NAME = 255
_MAX_TEXT = 500
_MAX_URL = 2_048
#: How much of a hostile text is read at all.
_MAX_SCREENED = 2_000
_MAX_BANK_TEXT = 140
_CURRENCY = re.compile(r"[A-Z]{3}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_BIC = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
_URL = re.compile(r"(?:https?://[^/\s]+|/(?!/))[!-~]*")
_MOVES = frozenset({"succeeded", "pending", "requires_action"})
#: Calls whose success need not name an amount.
_WITHOUT_AMOUNT = frozenset({"void", "submit_evidence", "accept_dispute"})
_STATUSES = frozenset(get_args(OutcomeStatus))


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine may rely on after one call.

    `outcome` with kind `outcome` may be booked. `not_sent` is proof that nothing was done. All
    else is `unknown`. `reason` is a short code: "" for an outcome; `timeout`, `raised`, `nonsense`,
    `unmodelled` (the detail is the provider's status, which nobody here knows) for unknown;
    `breaker_open`, `bulkhead_full`, `refused_connection`, `deadline_passed`, `not_installed`,
    `not_enabled`, `not_supported`, `settings_unavailable`, `not_processed` for not_sent. `detail`
    is for people: screened, at most 500 characters. `mismatch` says that the provider named another
    amount, currency or capture than was asked; `outcome` then holds what it said.
    """

    kind: AnswerKind
    outcome: Outcome | None = None
    reason: str = ""
    detail: str = ""
    mismatch: bool = False


class _Nonsense(Exception):
    """The answer does not fit the contract."""


def judge(
    answer: object,
    *,
    kind: CallKind | OperationKind,
    asked: Amount | None,
    manifest: Manifest,
    capture: bool | None = None,
) -> Answer:
    """Weigh what the plugin returned for a call of `kind` that asked for `asked`.

    `capture` is what an authorization asked; None does not compare it. A lookup may answer
    `not_found`, and its proven `not_processed` is an outcome: the lookup itself was sent.
    """
    strange = _unmodelled(answer)
    if strange is not None:
        return Answer(kind="unknown", reason="unmodelled", detail=strange)
    try:
        outcome = _clean(answer)
        _check_shape(outcome, kind=kind)
    except _Nonsense as problem:
        return Answer(kind="unknown", reason="nonsense", detail=clean_text(str(problem)))
    except BaseException as problem:
        # Re-reading a hostile object may run its code; whatever that raises is nonsense too.
        detail = clean_text(f"the answer cannot be read: {said_by(problem)}")
        return Answer(kind="unknown", reason="nonsense", detail=detail)
    if outcome.status == "not_processed":
        return _not_processed(outcome, kind=kind, manifest=manifest)
    difference = _difference(outcome, asked=asked, capture=capture)
    if difference:
        return Answer(
            kind="unknown", outcome=outcome, reason="nonsense", detail=difference, mismatch=True
        )
    return Answer(kind="outcome", outcome=outcome)


def _unmodelled(answer: object) -> str | None:
    """The provider's status that neither the plugin nor the contract knows, or None."""
    if type(answer) is not Outcome:
        return None
    # A plugin may put anything into a message, and a text's subclass may run its code.
    status: object = answer.status
    raw: object = answer.raw_status
    if type(status) is str and (status == "unmodelled" or status not in _STATUSES):
        told = raw if type(raw) is str and raw else status
        return clean_text(told, limit=_MAX_NAME)
    return None


def judge_event(event: object, *, manifest: Manifest) -> WebhookEvent | DisputeEvent:
    """The event made of fresh, checked values; raises `ValueError` where it does not fit."""
    if isinstance(event, DisputeEvent):
        return _judge_dispute(_from_plain(_to_plain(event), DisputeEvent))
    if not isinstance(event, WebhookEvent):
        raise ValueError(f"an event is a {_class_of(event)}")
    strange = _unmodelled(event.outcome)
    if strange is not None:
        # Verified all the same: it is kept for a person, and moves nothing.
        outcome = Outcome(status="unmodelled", raw_status=strange)
        event = msgspec.structs.replace(event, outcome=outcome)
    read = _from_plain(_to_plain(event), WebhookEvent)
    _check_event_names(read)
    read = msgspec.structs.replace(read, occurred_at=_in_utc(read.occurred_at))
    if strange is not None:
        return read
    answer = judge(read.outcome, kind=read.kind, asked=None, manifest=manifest)
    if answer.outcome is None or answer.kind == "unknown":
        raise ValueError(answer.detail)
    return msgspec.structs.replace(read, outcome=answer.outcome)


def _judge_dispute(read: DisputeEvent) -> DisputeEvent:
    _check_event_names(read)
    told = read.dispute
    if not told.reference or not _is_name(told.reference):
        raise ValueError("the dispute's reference is not 1 to 255 printable characters")
    try:
        _check_amount(told.amount)
    except _Nonsense as problem:
        raise ValueError(str(problem)) from None
    if not 0 <= told.fee_minor <= _MAX_MINOR:
        raise ValueError("fee_minor is negative or too large")
    due = told.evidence_due_at
    told = msgspec.structs.replace(
        told,
        reason=clean_text(told.reason, limit=_MAX_NAME),
        evidence_due_at=None if due is None else _in_utc(due),
    )
    return msgspec.structs.replace(read, dispute=told, occurred_at=_in_utc(read.occurred_at))


def _check_event_names(event: WebhookEvent | DisputeEvent) -> None:
    if not event.event_id or not _is_name(event.event_id):
        raise ValueError("the event's id is not 1 to 255 printable characters")
    for name in (event.key, event.provider_reference):
        if name is not None and not (name and _is_name(name)):
            raise ValueError("a name in the event is not 1 to 255 printable characters")


def _in_utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("a time in the event has no zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time in the event is out of range") from None


def clean_text(text: str, *, limit: int = _MAX_TEXT) -> str:
    """The text without card numbers and unprintable characters, cut at `limit` characters."""
    head = text[:_MAX_SCREENED]
    if not head.isprintable():
        head = "".join(one if one.isprintable() else " " for one in head)
    return redact(head)[:limit]


def _clean(answer: object) -> Outcome:
    """Spell the answer out and read it back, as if it had crossed a socket.

    Constructing a message checks nothing; this does, and leaves none of the plugin's own objects.
    """
    if not isinstance(answer, Outcome):
        raise _Nonsense(f"the answer is a {_class_of(answer)}, not an Outcome")
    try:
        read = _from_plain(_to_plain(answer), Outcome)
    except msgspec.ValidationError as problem:
        raise _Nonsense(str(problem)) from None
    changes: dict[str, Any] = {}
    if read.expires_at is not None:
        changes["expires_at"] = _aware(read.expires_at)
    if read.raw_status and not _is_name(read.raw_status):
        changes["raw_status"] = clean_text(read.raw_status, limit=_MAX_NAME)
    if read.decline is not None:
        changes["decline"] = _clean_decline(read.decline)
    return msgspec.structs.replace(read, **changes) if changes else read


def _clean_decline(decline: Decline) -> Decline:
    if not decline.code or len(decline.code) > 64 or not decline.code.isprintable():
        raise _Nonsense("the decline's code is not 1 to 64 printable characters")
    return Decline(
        code=clean_text(decline.code),
        raw_code=clean_text(decline.raw_code, limit=_MAX_NAME),
        raw_text=clean_text(decline.raw_text),
    )


def _check_shape(outcome: Outcome, *, kind: str) -> None:
    status = outcome.status
    if status == "not_found" and kind != "lookup":
        raise _Nonsense("not_found answers a lookup only")
    if (status == "declined") and outcome.decline is None:
        raise _Nonsense("declined without a decline")
    if status in _MOVES and outcome.decline is not None:
        raise _Nonsense(f"{status} with a decline")
    if status == "requires_action" and outcome.next_action is None:
        raise _Nonsense("requires_action without a next_action")
    if outcome.next_action is not None:
        url = outcome.next_action.url
        if len(url) > _MAX_URL or not _URL.fullmatch(url) or contains_card_number(url):
            raise _Nonsense("next_action.url is neither http(s) nor relative")
        if outcome.next_action.bank_details is not None:
            _check_bank_details(outcome.next_action.bank_details)
    if outcome.amount is not None:
        _check_amount(outcome.amount)
    elif status in ("succeeded", "pending") and kind not in _WITHOUT_AMOUNT:
        raise _Nonsense(f"{status} without an amount")
    if not 0 <= outcome.fee_minor <= _MAX_MINOR:
        raise _Nonsense("fee_minor is negative or too large")
    reference = outcome.provider_reference
    if reference is not None and not (reference and _is_name(reference)):
        raise _Nonsense("provider_reference is not 1 to 255 printable characters")


def _check_bank_details(details: BankDetails) -> None:
    """A buyer pays by them: what cannot be an account leads nobody to it."""
    _check_amount(details.amount)
    for name, text in (("holder", details.holder), ("reference", details.reference)):
        if not (text and len(text) <= _MAX_BANK_TEXT and _is_name(text)):
            raise _Nonsense(f"bank_details.{name} is not 1 to {_MAX_BANK_TEXT} characters")
    if not _is_iban(details.iban):
        raise _Nonsense("bank_details.iban is no IBAN in its electronic form")
    if details.bic and not _BIC.fullmatch(details.bic):
        raise _Nonsense("bank_details.bic is no BIC")


def _is_iban(text: str) -> bool:
    """Whether its form and its check digits are right (ISO 13616, ISO 7064 mod 97-10)."""
    if not _IBAN.fullmatch(text):
        return False
    return int("".join(str(int(each, 36)) for each in text[4:] + text[:4])) % 97 == 1


def _check_amount(amount: Amount) -> None:
    if not 0 < amount.minor <= _MAX_MINOR:
        raise _Nonsense("the amount is not positive, or too large")
    if not _CURRENCY.fullmatch(amount.currency):
        raise _Nonsense("the amount's currency is no ISO 4217 code")


def _difference(outcome: Outcome, *, asked: Amount | None, capture: bool | None) -> str:
    """In which way the provider did another thing than was asked; "" for none."""
    if outcome.status not in _MOVES:
        return ""
    said = outcome.amount
    if asked is not None and said is not None and said != asked:
        return (
            f"asked for {asked.minor} {asked.currency},"
            f" the provider says {said.minor} {said.currency}"
        )
    if capture is not None and outcome.status == "succeeded" and outcome.captured != capture:
        took = "took" if outcome.captured else "held"
        return f"asked with capture={capture}, the provider only says that it {took} the amount"
    return ""


def _not_processed(outcome: Outcome, *, kind: str, manifest: Manifest) -> Answer:
    codes = manifest.not_processed_codes
    raw_code = outcome.decline.raw_code if outcome.decline else ""
    if outcome.raw_status not in codes and raw_code not in codes:
        detail = "not_processed with a code that the manifest does not list as proof"
        return Answer(kind="unknown", reason="nonsense", detail=detail)
    if kind == "lookup":
        return Answer(kind="outcome", outcome=outcome)
    detail = outcome.decline.raw_text if outcome.decline else outcome.raw_status
    return Answer(kind="not_sent", outcome=outcome, reason="not_processed", detail=detail)


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise _Nonsense("expires_at has no zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise _Nonsense("expires_at is out of range") from None


def _is_name(text: str) -> bool:
    return len(text) <= _MAX_NAME and text.isprintable() and not contains_card_number(text)


def _class_of(value: object) -> str:
    return clean_text(type(value).__name__, limit=100)


def said_by(problem: BaseException) -> str:
    """The exception's class and words; its `__str__` is the plugin's code and may fail."""
    name = _class_of(problem)
    try:
        return f"{name}: {str(problem)[:_MAX_SCREENED]}"
    except BaseException:
        return name
