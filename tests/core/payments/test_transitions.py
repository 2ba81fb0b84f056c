"""Do Python and the database allow the same moves, for every pair of statuses?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from payengine.payments.transitions import (
    OPEN_OPERATION,
    OPERATION_TRANSITIONS,
    PAYMENT_TRANSITIONS,
    operation_may_move,
)

from tests.engines import Shop

_COPY = """
    INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object(
        'id', $1::text, 'provider_key', $1::text, 'status', $2::text))).*
    FROM {table} t WHERE id = $3
"""


async def _allowed_by_database(
    owner: Any, table: str, like: str, statuses: Sequence[str]
) -> set[tuple[str, str]]:
    """Every pair that an UPDATE is let through for; each is tried."""
    found = set()
    for old, new in itertools.product(statuses, statuses):
        point = owner.transaction()
        await point.start()
        try:
            await owner.execute(_COPY.format(table=table), "copy", old, like)
            await owner.execute(f"UPDATE {table} SET status = $1 WHERE id = 'copy'", new)
            found.add((old, new))
        except asyncpg.IntegrityConstraintViolationError as refusal:
            if refusal.as_dict()["constraint_name"] != f"{table}_transition":
                raise
        finally:
            await point.rollback()
    return found


def _pairs(transitions: dict[Any, tuple[Any, ...]]) -> set[tuple[str, str]]:
    """The moves of a table; to stay is always allowed."""
    moves = {(old, new) for old, targets in transitions.items() for new in targets}
    return moves | {(status, status) for status in transitions}


async def test_the_database_allows_exactly_the_tables_moves(shop: Shop) -> None:
    paid = await shop.pay()
    assert paid.operation is not None
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        for table, like, transitions in (
            ("payment", paid.payment.id, PAYMENT_TRANSITIONS),
            ("operation", paid.operation.id, OPERATION_TRANSITIONS),
        ):
            allowed = await _allowed_by_database(owner, table, like, list(transitions))
            assert allowed == _pairs(dict(transitions))


async def test_without_the_trigger_the_comparison_fails(shop: Shop) -> None:
    paid = await shop.pay()
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        whole = owner.transaction()
        await whole.start()
        await owner.execute("ALTER TABLE payment DISABLE TRIGGER payment_transition")
        statuses = list(PAYMENT_TRANSITIONS)
        allowed = await _allowed_by_database(owner, "payment", paid.payment.id, statuses[:3])
        assert not allowed <= _pairs(dict(PAYMENT_TRANSITIONS))
        await whole.rollback()


@pytest.mark.parametrize("table", ["payment", "operation"])
async def test_a_status_outside_the_table_is_refused(shop: Shop, table: str) -> None:
    paid = await shop.pay()
    assert paid.operation is not None
    like = paid.payment.id if table == "payment" else paid.operation.id
    async with shop.till.as_owner(shop.context.tenant_id) as owner:
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(_COPY.format(table=table), "copy", "DONE", like)


def test_nothing_leaves_success_and_every_end_may_turn_out_to_have_succeeded() -> None:
    assert OPERATION_TRANSITIONS["succeeded"] == ()
    for status in set(OPERATION_TRANSITIONS) - OPEN_OPERATION - {"succeeded"}:
        tells_more = ("declined",) if status == "not_sent" else ()
        assert OPERATION_TRANSITIONS[status] == ("succeeded", *tells_more)
    assert not operation_may_move("succeeded", "declined")
    assert operation_may_move("unknown", "succeeded")


def test_an_unknown_outcome_is_never_presumed_to_have_expired() -> None:
    assert "expired" not in OPERATION_TRANSITIONS["unknown"]
    assert "unknown" not in OPERATION_TRANSITIONS["pending"]
