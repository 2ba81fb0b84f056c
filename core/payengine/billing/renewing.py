"""What does a due subscription become, and which periods are invoiced?

A renewal is named by (subscription, period start), and no two invoices bear one name. A claimed
batch is decided row by row, so that one bad row is set aside and the others go on; the numbers of
its invoices are taken once and last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Literal, TypeAlias

import msgspec

from payengine.billing.invoice_states import invoice_numbers
from payengine.billing.invoicing import Invoice, InvoiceDraft, compute_invoice
from payengine.billing.periods import Cadence, Period
from payengine.errors import InputInvalid, PayengineError

__all__ = [
    "MOST_CATCH_UP",
    "BatchPlan",
    "CatchUp",
    "Renewable",
    "RenewableStatus",
    "Renewal",
    "RenewalFailure",
    "RenewalInvoice",
    "is_due",
    "next_due_of",
    "plan_batch",
    "renew",
    "renewal_name",
    "renewed_until",
    "resume",
]

#: The periods that one step catches up with; what is left is due again at once.
MOST_CATCH_UP = 120

RenewableStatus = Literal[
    "trialing", "active", "past_due", "unpaid", "paused", "canceled", "needs_operator"
]

#: Unpaid ones are not billed for periods without access; they are resumed when they are paid.
_RENEWED: frozenset[RenewableStatus] = frozenset({"trialing", "active", "past_due"})
_RESUMED: frozenset[RenewableStatus] = frozenset({"paused", "unpaid"})
#: Nothing more happens to these by time alone.
_NEVER_DUE = frozenset({"canceled", "incomplete_expired", "needs_operator"})

#: After a jump over several periods: an invoice for each, or stop for an operator.
CatchUp = Literal["all", "halt"]


class Renewable(msgspec.Struct, frozen=True, kw_only=True):
    """What a renewal has to know of a subscription; the present period ends at `period_end`.

    The `cadence` says where all later periods end. A trial is a period of its own: it ends at
    `period_end`, from which the periods that are paid are counted anew.
    """

    id: str
    status: RenewableStatus
    cadence: Cadence
    period_start: datetime
    period_end: datetime
    cancel_at_period_end: bool = False
    pause_at_period_end: bool = False


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """The subscription after its boundaries, and the periods to invoice, each on its own."""

    subscription: Renewable
    periods: tuple[Period, ...] = ()


def renewal_name(subscription_id: str, period_start: datetime) -> tuple[str, datetime]:
    """What makes two renewals the same, whatever zone the instant is written in."""
    return subscription_id, period_start.astimezone(UTC)


def is_due(subscription: Renewable, at: datetime) -> bool:
    """Whether a boundary is reached that somebody has to act on."""
    return subscription.status in _RENEWED and subscription.period_end <= at


def next_due_of(
    status: str,
    *,
    period_end: datetime,
    change_at: datetime | None = None,
    notice_at: datetime | None = None,
) -> datetime | None:
    """The next instant at which time alone does something to a subscription; None: there is none.

    That is the end of its period, its first scheduled change that waits, or the notice before its
    trial's end, whichever comes first.
    """
    if status in _NEVER_DUE:
        return None
    instants = [period_end] if status in _RENEWED else []
    instants += [each for each in (change_at, notice_at) if each is not None]
    return min(instants, default=None)


def renewed_until(
    status: str, *, at: datetime, period_end: datetime, step_at: datetime | None
) -> datetime | None:
    """How far to `renew` at the instant; None where the step that waits comes first.

    `step_at` is the earlier of the scheduled change and the notice. At a boundary the step comes
    before the renewal, so that what was scheduled for it is what the renewal invoices.
    """
    if step_at is None or step_at > at:
        return at
    if status not in _RENEWED or step_at <= period_end:
        return None
    return step_at - timedelta(microseconds=1)


def renew(subscription: Renewable, at: datetime, *, catch_up: CatchUp = "all") -> Renewal:
    """Take the subscription over the boundaries that lie at or before the instant.

    To cancel comes before to pause, and both before a new period; a subscription that is not due is
    left as it is. With `halt`, more than one boundary stops it for an operator, nothing invoiced.
    Raises `InputInvalid` beyond the calendar.
    """
    if not is_due(subscription, at):
        return Renewal(subscription=subscription)
    if subscription.cancel_at_period_end:
        return Renewal(subscription=_with_status(subscription, "canceled"))
    if subscription.pause_at_period_end:
        paused = _with_status(subscription, "paused")
        return Renewal(subscription=msgspec.structs.replace(paused, pause_at_period_end=False))
    status, cadence = subscription.status, subscription.cadence
    if status == "trialing":
        status, cadence = "active", cadence.restarted(subscription.period_end)
    due = cadence.due_periods(subscription.period_end, until=at)
    periods = tuple(islice(due, MOST_CATCH_UP))
    if catch_up == "halt" and len(periods) > 1:
        return Renewal(subscription=_with_status(subscription, "needs_operator"))
    renewed = msgspec.structs.replace(
        subscription,
        status=status,
        cadence=cadence,
        period_start=periods[-1].start,
        period_end=periods[-1].end,
    )
    return Renewal(subscription=renewed, periods=periods)


def resume(subscription: Renewable, at: datetime) -> Renewal:
    """Begin a new period at the instant, from which all later ones are counted, and invoice it.

    Raises `InputInvalid` for a subscription that is neither paused nor unpaid.
    """
    if subscription.status not in _RESUMED:
        raise InputInvalid(f"A subscription that is {subscription.status} is not resumed.")
    cadence = subscription.cadence.restarted(at)
    period = cadence.period(0)
    resumed = msgspec.structs.replace(
        subscription,
        status="active",
        cadence=cadence,
        period_start=period.start,
        period_end=period.end,
    )
    return Renewal(subscription=resumed, periods=(period,))


def _with_status(subscription: Renewable, status: RenewableStatus) -> Renewable:
    return msgspec.structs.replace(subscription, status=status)


# -- batches ---------------------------------------------------------------------------------------


class RenewalInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """One period's invoice with its number; no other invoice bears its `name`."""

    name: tuple[str, datetime]
    period: Period
    number: int
    invoice: Invoice


class RenewalFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A row that could not be renewed, by its error's code; it stays as it was."""

    subscription_id: str
    code: str
    message: str


class BatchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a claimed batch writes: subscriptions as they are to be, invoices, and the counter.

    `failed` are set aside: nothing of them is written, and they have taken no number.
    """

    subscriptions: tuple[Renewable, ...]
    invoices: tuple[RenewalInvoice, ...]
    failed: tuple[RenewalFailure, ...]
    last_number: int


#: What is left of (customer, currency), where an invoice of the batch has touched it.
_Balances: TypeAlias = dict[tuple[str | None, str], int]


def plan_batch(
    rows: Sequence[Renewable],
    at: datetime,
    *,
    draft_of: Callable[[Renewable, Period], InvoiceDraft],
    last_number: int,
    catch_up: CatchUp = "all",
) -> BatchPlan:
    """Decide a claimed batch of one tenant, each row by itself.

    `draft_of` draws up the invoice of one period, from the row as it was claimed; what one invoice
    leaves of its customer's balance is what the next one begins with. A row whose renewal, draft or
    invoice raises a `PayengineError` is set aside whole: of its periods none is invoiced. A row
    that was claimed twice renews once.
    """
    subscriptions: list[Renewable] = []
    found: list[tuple[tuple[str, datetime], Period, Invoice]] = []
    failed: list[RenewalFailure] = []
    seen: set[str] = set()
    balances: _Balances = {}
    for row in rows:
        if row.id in seen or not is_due(row, at):
            continue
        seen.add(row.id)
        try:
            renewal = renew(row, at, catch_up=catch_up)
            own, left = _invoices(row, renewal, draft_of, balances)
        except PayengineError as refused:
            failure = RenewalFailure(
                subscription_id=row.id, code=refused.code, message=refused.message
            )
            failed.append(failure)
            continue
        subscriptions.append(renewal.subscription)
        found += own
        balances |= left
    numbers, last = invoice_numbers(last_number, [True] * len(found))
    invoices = tuple(
        RenewalInvoice(name=name, period=period, number=number or 0, invoice=invoice)
        for (name, period, invoice), number in zip(found, numbers, strict=True)
    )
    return BatchPlan(
        subscriptions=tuple(subscriptions),
        invoices=invoices,
        failed=tuple(failed),
        last_number=last,
    )


def _invoices(
    row: Renewable,
    renewal: Renewal,
    draft_of: Callable[[Renewable, Period], InvoiceDraft],
    balances: _Balances,
) -> tuple[list[tuple[tuple[str, datetime], Period, Invoice]], _Balances]:
    """A row's invoices, and what they leave of their customer's balance."""
    found = []
    left: _Balances = {}
    for period in renewal.periods:
        draft = draft_of(row, period)
        place = draft.customer_id, draft.currency
        present = left.get(place, balances.get(place))
        if present is not None and draft.customer_id is not None:
            draft = msgspec.structs.replace(draft, customer_credit_balance=present)
        invoice = compute_invoice(draft)
        left[place] = invoice.ending_credit_balance
        found.append((renewal_name(row.id, period.start), period, invoice))
    return found, left
