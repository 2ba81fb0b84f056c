"""Is what came in kept apart by currency, and what was recovered counted once?"""

from __future__ import annotations

from payengine.reports.revenue import FailedRenewal, RevenueLine, recovery, revenue_by_method


def test_currencies_are_never_added() -> None:
    lines = [
        RevenueLine(method="card", currency="USD", amount_minor=5),
        RevenueLine(method="card", currency="EUR", amount_minor=7),
        RevenueLine(method="card", currency="USD", amount_minor=-2),
    ]
    assert revenue_by_method(lines) == {"USD": {"card": 3}, "EUR": {"card": 7}}


def test_nothing_failed_has_no_rate() -> None:
    found = recovery([])
    assert (found.recovery_rate_closed.bps, found.recovery_rate_all.bps) == (None, None)


def test_what_is_open_counts_only_among_all() -> None:
    found = recovery(
        [
            FailedRenewal(amount_minor=5, outcome="open"),
            FailedRenewal(amount_minor=5, outcome="recovered", via="retry"),
        ]
    )
    assert found.recovery_rate_closed.fraction == "1/1"
    assert found.recovery_rate_all.fraction == "1/2"
    assert (found.recovered_amount, found.by_via) == (5, {"retry": 1})
