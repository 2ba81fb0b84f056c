"""What does a due subscription become, and which periods are invoiced?

A renewal is named by (subscription, period start), and no two invoices bear one name. A claimed
batch is decided row by row, so that one bad row is set aside and the others go on; the numbers of
its invoices are taken once and last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Literal

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
    "plan_batch",
    "renew",
    "renewal_name",
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


def plan_batch(
    rows: Sequence[Renewable],
    at: datetime,
    *,
    draft_of: Callable[[Renewable, Period], InvoiceDraft],
    last_number: int,
    catch_up: CatchUp = "all",
) -> BatchPlan:
    """Decide a claimed batch of one tenant, each row by itself.

    `draft_of` draws up the invoice of one period, from the row as it was claimed. A row whose
    renewal, draft or invoice raises a `PayengineError` is set aside whole: of its periods none is
    invoiced. A row that was claimed twice renews once.
    """
    subscriptions: list[Renewable] = []
    found: list[tuple[tuple[str, datetime], Period, Invoice]] = []
    failed: list[RenewalFailure] = []
    seen: set[str] = set()
    for row in rows:
        if row.id in seen or not is_due(row, at):
            continue
        seen.add(row.id)
        try:
            renewal = renew(row, at, catch_up=catch_up)
            own = [
                (
                    renewal_name(row.id, period.start),
                    period,
                    compute_invoice(draft_of(row, period)),
                )
                for period in renewal.periods
            ]
        except PayengineError as refused:
            failure = RenewalFailure(
                subscription_id=row.id, code=refused.code, message=refused.message
            )
            failed.append(failure)
            continue
        subscriptions.append(renewal.subscription)
        found += own
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
