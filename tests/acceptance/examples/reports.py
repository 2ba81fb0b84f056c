"""Do the reports of finance come out as the examples say?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Any

import msgspec
from payengine.errors import PayengineError
from payengine.reports.acceptance import (
    AttemptLine,
    authorisation_rate,
    authorisation_rate_by,
    dispute_rate,
)
from payengine.reports.balance import (
    BalanceTransaction,
    balance_report,
    ending_balance,
    payout_reconciliation,
)
from payengine.reports.export import safe_cell, statement_amount
from payengine.reports.periods import interval, start_of
from payengine.reports.recurring import Coupon, RecurringLine, movements, recurring_revenue
from payengine.reports.revenue import FailedRenewal, RevenueLine, recovery, revenue_by_method

from tests.acceptance.examples.shapes import (
    Case,
    World,
    choose,
    compare,
    require_keys,
)

__all__ = ["cases"]

Inputs = dict[str, Any]


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = case["inputs"], case["expected"]
    found: dict[str, Any] = {}
    try:
        found = choose(inputs, _SHAPES, of="a report")(inputs)
    except PayengineError as refused:
        found = {"error": refused.code}
    compare(found, expected)
    if "group_by" in inputs or "rows" in inputs:  # no group beyond those that are expected
        assert set(found) == set(expected)


def _plain(found: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return plain


def _lines(inputs: Inputs) -> list[BalanceTransaction]:
    for row in inputs["balance_transactions"]:
        require_keys(row, set(BalanceTransaction.__struct_fields__), of="a balance transaction")
    return msgspec.convert(inputs["balance_transactions"], list[BalanceTransaction])


def _day(text: str) -> date | datetime:
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)


def _balance(inputs: Inputs) -> dict[str, Any]:
    known = {"balance_transactions", "interval_start", "interval_end", "timezone", "currency"}
    require_keys(inputs, known, of="a balance report")
    lines = _lines(inputs)
    period = interval(
        _day(inputs["interval_start"]),
        _day(inputs["interval_end"]),
        timezone=inputs.get("timezone", "UTC"),
    )
    currency = inputs["currency"] if "currency" in inputs else lines[0].currency
    return _plain(balance_report(lines, period=period, currency=currency))


def _payout(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"balance_transactions", "payout"}, of="a payout reconciliation")
    return _plain(payout_reconciliation(_lines(inputs), payout_id=inputs["payout"]))


def _ending(inputs: Inputs) -> dict[str, Any]:
    known = {"balance_transactions", "interval_end", "timezone", "currency"}
    require_keys(inputs, known, of="an ending balance")
    end = start_of(_day(inputs["interval_end"]), timezone=inputs.get("timezone", "UTC"))
    return _plain(ending_balance(_lines(inputs), end=end, currency=inputs.get("currency")))


def _statement(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"amounts"}, of="amounts of a statement")
    found = [statement_amount(minor, code) for code, minor in inputs["amounts"]]
    return {
        "text": [each.text for each in found],
        "CdtDbtInd": [each.indicator for each in found],
    }


def _acceptance(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"attempts", "group_by"}, of="a report of attempts")
    attempts = [
        AttemptLine(
            payment=row["payment"],
            result=row["result"],
            not_sent=row["not_sent"],
            traits={
                name: value
                for name, value in row.items()
                if name not in ("payment", "attempt", "result", "not_sent")
            },
        )
        for row in inputs["attempts"]
    ]
    if "group_by" not in inputs:
        return _plain(authorisation_rate(attempts))
    groups = authorisation_rate_by(attempts, inputs["group_by"])
    return {str(value): _plain(rate) for value, rate in groups.items()}


def _disputes(inputs: Inputs) -> dict[str, Any]:
    known = {"payments_in_month", "disputes_received_in_month", "disputes_on_months_payments"}
    require_keys(inputs, known, of="a dispute rate")
    return _plain(
        dispute_rate(
            payments_in_month=inputs["payments_in_month"],
            disputes_received=inputs["disputes_received_in_month"],
            disputes_on_payments=inputs["disputes_on_months_payments"],
        )
    )


def _recurring(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"subscriptions"}, of="recurring revenue")
    known = {
        "amount",
        "count",
        "coupon",
        "currency",
        "interval",
        "interval_count",
        "metered",
        "status",
    }
    lines = []
    for row in inputs["subscriptions"]:
        require_keys(row, known, of="a subscription")
        rest = {name: value for name, value in row.items() if name not in ("amount", "coupon")}
        coupon = row.get("coupon")
        lines.append(
            RecurringLine(
                amount_minor=row["amount"],
                coupon=None if coupon is None else msgspec.convert(_strict(coupon), Coupon),
                **rest,
            )
        )
    found = recurring_revenue(lines)
    if set(found) <= {None}:
        return _plain(found[None]) if found else {"mrr": 0, "arr": 0}
    per_currency = {str(code): _plain(revenue) for code, revenue in found.items()}
    return {
        **per_currency,
        "mrr": {code: revenue["mrr"] for code, revenue in per_currency.items()},
        "arr": {code: revenue["arr"] for code, revenue in per_currency.items()},
    }


def _strict(coupon: dict[str, Any]) -> dict[str, Any]:
    require_keys(coupon, set(Coupon.__struct_fields__), of="a coupon")
    return coupon


def _movements(inputs: Inputs) -> dict[str, Any]:
    known = {
        "customers_with_earlier_mrr",
        "fx_by_customer",
        "mrr_by_customer_end",
        "mrr_by_customer_start",
    }
    require_keys(inputs, known, of="movements of recurring revenue")
    return _plain(
        movements(
            inputs["mrr_by_customer_start"],
            inputs["mrr_by_customer_end"],
            known_before=set(inputs.get("customers_with_earlier_mrr", [])),
            fx=inputs.get("fx_by_customer"),
        )
    )


def _recovery(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"failed"}, of="a report of dunning")
    rows = []
    for row in inputs["failed"]:
        require_keys(row, {"amount", "outcome", "via"}, of="a failed renewal")
        rows.append(
            FailedRenewal(amount_minor=row["amount"], outcome=row["outcome"], via=row["via"])
        )
    return _plain(recovery(rows))


def _revenue(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"rows"}, of="revenue")
    rows = []
    for row in inputs["rows"]:
        require_keys(row, {"method", "currency", "amount"}, of="a row of revenue")
        rows.append(
            RevenueLine(method=row["method"], currency=row["currency"], amount_minor=row["amount"])
        )
    found: dict[str, Any] = revenue_by_method(rows)
    return found


def _cells(inputs: Inputs) -> dict[str, Any]:
    require_keys(inputs, {"cells"}, of="cells")
    return {"cells": [safe_cell(text) for text in inputs["cells"]]}


#: The first whose keys a case has is its shape.
_SHAPES: tuple[tuple[set[str], Callable[[dict[str, Any]], dict[str, Any]]], ...] = (
    ({"balance_transactions", "payout"}, _payout),
    ({"balance_transactions", "interval_start"}, _balance),
    ({"balance_transactions", "interval_end"}, _ending),
    ({"amounts"}, _statement),
    ({"attempts"}, _acceptance),
    ({"payments_in_month"}, _disputes),
    ({"subscriptions"}, _recurring),
    ({"mrr_by_customer_start"}, _movements),
    ({"failed"}, _recovery),
    ({"rows"}, _revenue),
    ({"cells"}, _cells),
)
