"""The crash harness reckons right, and finds what is put into the books on purpose."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.acceptance.crash.memory import Bought, Memory, Shop, amount_of, number_of
from tests.acceptance.crash.options import Options
from tests.acceptance.crash.reading import Books
from tests.acceptance.crash.reckoning import Figures, p95, reckon, recoveries
from tests.acceptance.crash.report import as_json, table
from tests.acceptance.crash.run import places
from tests.acceptance.crash.schedule import ANY_MOMENT, Death, kills_of
from tests.acceptance.crash.tap import Tap

_SHOP = Shop(tenant_id="t", api_key="k", currency="EUR")
_POINTS = ("after_commit", "after_intent", "relay_published")


def _kills(number: int, *, seed: str = "s", has_worker: bool = False) -> tuple[Any, ...]:
    return kills_of(number, points=_POINTS, random_kills=True, has_worker=has_worker, seed=seed)


def test_a_seed_names_its_kills() -> None:
    assert _kills(40) == _kills(40)
    assert _kills(40) != _kills(40, seed="t")


def test_each_point_has_the_same_share_and_random_moments_twice_as_much() -> None:
    counts = Counter(kill.point for kill in _kills(500))
    assert counts == {**dict.fromkeys(_POINTS, 100), ANY_MOMENT: 200}


def test_only_where_there_is_a_worker_it_dies() -> None:
    assert {kill.target for kill in _kills(200)} == {"serve"}
    targets = {(kill.point, kill.target) for kill in _kills(200, has_worker=True)}
    assert ("relay_published", "worker") in targets
    assert ("relay_published", "serve") not in targets
    assert ("after_intent", "worker") not in targets


def test_the_points_are_those_that_the_source_passes() -> None:
    assert {"after_gateway", "before_response", "refund_reserved"} <= set(places())


@given(st.integers(0, 199_999), st.integers(1, 5))
def test_an_amount_names_its_payment(number: int, steps: int) -> None:
    assert number_of(amount_of(number, steps=steps)) == number


@pytest.mark.parametrize("amount", [0, 999_999, 6_000_000, 2_000_001])
def test_an_amount_of_no_payment_names_none(amount: int) -> None:
    assert number_of(amount) == -1


def test_the_percentile_is_the_nearest_rank() -> None:
    assert p95([]) == 0.0
    assert p95([float(number) for number in range(1, 101)]) == 95.0
    assert p95([3.0]) == 3.0


def test_recovery_counts_from_the_last_death_and_from_the_first() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    deaths = [
        Death(point="a", at=at + timedelta(seconds=seconds), left_open=frozenset(left))
        for seconds, left in ((0, {"x", "y"}), (10, {"x"}))
    ]
    settled = {"x": at + timedelta(seconds=13), "y": at + timedelta(seconds=4)}
    last, first = recoveries(deaths, settled)
    assert (sorted(last), sorted(first)) == ([3.0, 4.0], [4.0, 13.0])


def _movement(key: str, kind: str, amount: int) -> dict[str, Any]:
    return {"key": key, "kind": kind, "amount_minor": amount, "fee_minor": 10}


_CHARGE = _movement("op_a", "authorize", amount_of(7, steps=5))
_REFUND = _movement("ref_a", "refund", amount_of(7, steps=2))
_EVENTS = ((1, "payment.captured", "op_a"), (2, "refund.succeeded", "ref_a"))
_BALANCE = amount_of(7, steps=3) - 20


def _reckoned(
    *movements: dict[str, Any],
    events: tuple[tuple[int, str, str | None], ...] = _EVENTS,
    balance_minor: int = _BALANCE,
) -> Figures:
    memory = Memory()
    bought = Bought(_SHOP, 7, {}, payment_id="pay_a", is_done=True)
    bought.operations = {"op_a": "SUCCEEDED", "ref_a": "SUCCEEDED"}
    memory.bought.append(bought)
    books = Books(shop=_SHOP, movements=movements, balance_minor=balance_minor, events=events)
    return reckon(memory, [books])


def test_books_that_agree_are_right() -> None:
    figures = _reckoned(_CHARGE, _REFUND)
    assert (figures.wrong, figures.words) == ([], [])
    assert (figures.payments, figures.charges, figures.refunds) == (1, 1, 1)


@pytest.mark.parametrize(
    ("movements", "changes", "wrong"),
    [
        ((_CHARGE, _CHARGE, _REFUND), {}, {"doubled", "drift_minor"}),
        (
            (_CHARGE, _REFUND, _movement("op_b", "authorize", amount_of(7, steps=5))),
            {},
            {"doubled", "orphans", "drift_minor"},
        ),
        ((_CHARGE, _REFUND), {"balance_minor": _BALANCE + 1}, {"drift_minor"}),
        ((_CHARGE, _REFUND), {"events": _EVENTS[:1]}, {"events_missing"}),
        ((_CHARGE, _REFUND), {"events": (_EVENTS[0], (3, *_EVENTS[1][1:]))}, {"events_missing"}),
        (
            (_CHARGE, _REFUND),
            {"events": (*_EVENTS, (3, "refund.succeeded", "ref_a"))},
            {"events_doubled"},
        ),
    ],
)
def test_what_is_wrong_in_the_books_is_found(
    movements: tuple[dict[str, Any], ...], changes: dict[str, Any], wrong: set[str]
) -> None:
    figures = _reckoned(*movements, **changes)
    assert set(figures.wrong) == wrong
    assert figures.words or wrong == {"events_missing"}
    assert "WRONG" in table(figures, Options(), took_s=1.0)
    assert '"ok": false' in as_json(figures, Options(), took_s=1.0)


def _told(memory: Memory, bought: Bought, *, asked_at: float, **statuses: str) -> None:
    operations = [{"id": name, "status": status} for name, status in statuses.items()]
    memory.told(bought, {"id": "pay_a", "operations": operations}, asked_at=asked_at)


def test_what_was_told_must_stay_and_answers_may_overtake_each_other() -> None:
    memory, bought = Memory(), Bought(_SHOP, 1, {})
    _told(memory, bought, asked_at=1.0, op_a="SUCCEEDED")
    long_ago, later = 0.5, 1e12
    _told(memory, bought, asked_at=long_ago, op_a="UNKNOWN")
    assert memory.lost == []
    _told(memory, bought, asked_at=later, op_a="DECLINED")
    assert memory.lost == ["op_a: it was SUCCEEDED and is DECLINED"]
    _told(memory, bought, asked_at=later)
    assert memory.lost[1:] == ["pay_a: op_a is gone"]
    memory.told(bought, {"id": "pay_b", "operations": []}, asked_at=0.0)
    assert memory.lost[-1] == "pay_a: the same key now names pay_b"


async def test_the_wire_notes_what_is_sent_again_without_a_look() -> None:
    tap = Tap("http://127.0.0.1:9", forgets=True)
    sent = tap._note("t", "k", kind="authorize")
    sent.last_at = -10.0
    tap._note("t", "k", kind="authorize")
    assert (tap.blind, sent.names) == (1, ["k", "k~1"])
    sent.looked = True
    tap._note("t", "k", kind="authorize")
    assert (tap.blind, sent.names) == (1, ["k", "k~1"])
    await tap.aclose()
