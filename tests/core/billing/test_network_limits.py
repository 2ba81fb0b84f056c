"""Is a card left alone when its network says so?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from payengine.billing.network_limits import CardHistory, may_present

_AT = datetime(2025, 6, 1, 8, tzinfo=UTC)


def test_the_limit_of_a_day_ends_with_the_day_of_utc() -> None:
    local = _AT.astimezone(timezone(timedelta(hours=-11)))
    found = may_present("mastercard", CardHistory(declines_today=10), at=local)
    assert not found.send
    assert found.retry_at == datetime(2025, 6, 2, tzinfo=UTC)


def test_the_limit_of_thirty_days_ends_with_its_oldest_decline() -> None:
    oldest = _AT - timedelta(days=29)
    found = may_present("visa", CardHistory(declines_30d=20, oldest_30d=oldest), at=_AT)
    assert found.retry_at == _AT + timedelta(days=1)


def test_a_network_tells_when_never_again() -> None:
    found = may_present("mastercard", CardHistory(advice="03"), at=_AT)
    assert (found.send, found.retry_at) == (False, None)
    assert may_present("visa", CardHistory(advice="03"), at=_AT).send


def test_a_network_without_limits_sets_none() -> None:
    history = CardHistory(declines_today=99, declines_30d=99, advice="1")
    assert may_present("girocard", history, at=_AT).send
