"""What does it mean for the books that a provider settled in another currency than was paid?

Pure: from what was exchanged before and what the provider told come the conversion, its postings
and the gain or the loss. Where the tenant's sources know no rate, the provider's own is the mid
rate: it is told, and leaves neither gain nor loss.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

import msgspec

from payengine.errors import InputInvalid
from payengine.fx.conversion import convert, rate_text
from payengine.fx.models import Conversion, FxSettings
from payengine.fx.postings import realised, refund_converted, refund_settled, settled
from payengine.fx.quotes import worth
from payengine.fx.rates import DatedRate
from payengine.fx.settlement import realised as difference_of
from payengine.fx.settlement import refunded_part
from payengine.fx.store import ConvertedBefore, posting_of_conversion
from payengine.ids import new_id
from payengine.ledger import Posting
from payengine.money import currency as find_currency

__all__ = ["Settled", "SettledAbroad", "settle_capture", "settle_refund"]


class SettledAbroad(NamedTuple):
    """What the provider told of a payment's money; minor units, all above zero.

    `presentment` is what the buyer saw, `settlement` what the provider made of it before its fee;
    `own_minor` is how much of the presentment stands on `account`, and not on somebody else's.
    """

    line_id: str
    gateway: str
    account: str
    payment_id: str
    operation_id: str
    presentment_minor: int
    presentment_currency: str
    settlement_minor: int
    settlement_currency: str
    own_minor: int
    at: datetime


class Settled(NamedTuple):
    """What is to be written: a conversion where one is made, and postings."""

    conversion: Conversion | None
    postings: tuple[Posting, ...]


def settle_capture(
    told: SettledAbroad,
    settings: FxSettings,
    before: ConvertedBefore,
    *,
    rate: DatedRate | None,
) -> Settled:
    """Money that was taken. What was exchanged before is not exchanged again."""
    postings = [
        settled(
            settlement_id=told.line_id,
            gateway=told.gateway,
            source_currency=told.presentment_currency,
            source_minor=told.presentment_minor,
            target_currency=told.settlement_currency,
            received_minor=told.settlement_minor,
            into=f"psp_receivable:{told.gateway}",
        )
    ]
    made: Conversion | None = None
    owed, received = None, told.settlement_minor
    if before.asked_minor:
        # The tenant has exchanged it before; where that was less than this, no rate tells which.
        same = before.currencies == 1 and before.target_currency == told.settlement_currency
        if same and before.asked_minor >= told.presentment_minor:
            owed = _part(before.asked_mid_minor, of=before.asked_minor, part=told.presentment_minor)
    elif settings.convert_at_settlement and told.own_minor > 0:
        made = _converted(told, settings, rate or _own_rate(told))
        postings.append(posting_of_conversion(made))
        owed = made.mid_minor
        received = _part(received, of=told.presentment_minor, part=made.source_minor)
    if owed is not None:
        booked = realised(
            settlement_id=told.line_id,
            currency=told.settlement_currency,
            owed_minor=owed,
            received_minor=received,
        )
        postings += [booked] if booked else []
        if made:
            found = difference_of(owed_minor=owed, received_minor=received)
            made = msgspec.structs.replace(
                made,
                received_minor=received,
                gain_minor=found.gain,
                loss_minor=found.loss,
                settled_at=told.at,
            )
    return Settled(made, tuple(postings))


def settle_refund(
    told: SettledAbroad,
    settings: FxSettings,
    before: ConvertedBefore,
    *,
    rate: DatedRate | None,
) -> Settled:
    """Money that was given back: taken from the account at the payment's own rate.

    By the setting `current` at the rate of the day, where there is one. What the provider took
    beyond that is a loss, what it took less a gain.
    """
    postings = [
        refund_settled(
            settlement_id=told.line_id,
            gateway=told.gateway,
            source_currency=told.presentment_currency,
            source_minor=told.presentment_minor,
            target_currency=told.settlement_currency,
            taken_minor=told.settlement_minor,
        )
    ]
    part = min(told.presentment_minor, before.source_minor - before.refunded_minor)
    if part <= 0 or before.currencies != 1 or before.target_currency != told.settlement_currency:
        return Settled(None, tuple(postings))
    back = refunded_part(
        presentment_minor=before.source_minor,
        settlement_minor=before.target_minor,
        refund_minor=part,
        refunded_before=before.refunded_minor,
    )
    used = DatedRate(rate="1", rate_date=told.at.date(), rate_source="payment")
    if settings.refund_rate == "current" and rate is not None:
        used = rate
        back = convert(
            part,
            source=told.presentment_currency,
            target=told.settlement_currency,
            rate=rate.exact,
            rounding=settings.rounding,
        )
    elif back:
        exact = _ratio(back, told.settlement_currency, part, told.presentment_currency)
        used = msgspec.structs.replace(used, rate=rate_text(exact))
    made = _given_back(told, settings, used, part=part, back=back)
    assert made.received_minor is not None
    postings.append(
        refund_converted(
            conversion_id=made.id,
            account=told.account,
            source_currency=made.source_currency,
            source_minor=part,
            target_currency=made.target_currency,
            target_minor=back,
        )
    )
    booked = realised(
        settlement_id=told.line_id,
        currency=told.settlement_currency,
        owed_minor=made.received_minor,
        received_minor=back,
    )
    return Settled(made, (*postings, *([booked] if booked else [])))


def _given_back(
    told: SettledAbroad, settings: FxSettings, used: DatedRate, *, part: int, back: int
) -> Conversion:
    """The way back as a conversion, with what the provider took for this part of the refund."""
    taken = told.settlement_minor
    if part < told.presentment_minor:
        taken = _part(taken, of=told.presentment_minor, part=part)
    found = difference_of(owed_minor=taken, received_minor=back)
    return Conversion(
        id=new_id("fxc"),
        kind="refund",
        account=told.account,
        source_currency=told.presentment_currency,
        source_minor=part,
        target_currency=told.settlement_currency,
        target_minor=back,
        mid_minor=back,
        markup_minor=0,
        mid_rate=used.rate,
        markup_bps=0,
        rounding=settings.rounding,
        rate_source=used.rate_source,
        rate_date=used.rate_date.isoformat(),
        payment_id=told.payment_id,
        operation_id=told.operation_id,
        received_minor=taken,
        gain_minor=found.gain,
        loss_minor=found.loss,
        created_at=told.at,
        settled_at=told.at,
    )


def _converted(told: SettledAbroad, settings: FxSettings, rate: DatedRate) -> Conversion:
    source_minor = min(told.presentment_minor, told.own_minor)
    found = worth(
        source_minor,
        source=told.presentment_currency,
        target=told.settlement_currency,
        mid=rate.exact,
        markup_bps=settings.markup_bps,
        rounding=settings.rounding,
    )
    return Conversion(
        id=new_id("fxc"),
        kind="settlement",
        account=told.account,
        source_currency=told.presentment_currency,
        source_minor=source_minor,
        target_currency=told.settlement_currency,
        target_minor=found.customer_minor,
        mid_minor=found.mid_minor,
        markup_minor=found.markup_minor,
        mid_rate=rate.rate,
        markup_bps=settings.markup_bps,
        rounding=settings.rounding,
        rate_source=rate.rate_source,
        rate_date=rate.rate_date.isoformat(),
        payment_id=told.payment_id,
        operation_id=told.operation_id,
        created_at=told.at,
    )


def _own_rate(told: SettledAbroad) -> DatedRate:
    """The rate at which the provider itself exchanged, exactly."""
    exact = _ratio(
        told.settlement_minor,
        told.settlement_currency,
        told.presentment_minor,
        told.presentment_currency,
    )
    return DatedRate(
        rate=rate_text(exact), rate_date=told.at.date(), rate_source=f"gateway:{told.gateway}"
    )


def _ratio(target_minor: int, target: str, source_minor: int, source: str) -> Fraction:
    if target_minor <= 0 or source_minor <= 0:
        raise InputInvalid("An exchange rate is above zero.")
    digits = find_currency(source).exponent - find_currency(target).exponent
    scale = Fraction(10**digits) if digits >= 0 else Fraction(1, 10**-digits)
    return Fraction(target_minor, source_minor) * scale


def _part(minor: int, *, of: int, part: int) -> int:
    return refunded_part(presentment_minor=of, settlement_minor=minor, refund_minor=part)
