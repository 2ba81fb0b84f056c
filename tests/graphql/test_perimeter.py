from __future__ import annotations

import re

import httpx
import pytest

from tests.graphql.worlds import CREATE, World, new_key

_TIMING = re.compile(
    r"total;dur=([\d.]+), gateway;dur=([\d.]+), commit;dur=([\d.]+), "
    r'sql;desc="(\d+) statements, (\d+) commits"'
)


def _payment() -> dict[str, object]:
    given = {
        "idempotencyKey": new_key(),
        "amount": {"amountMinor": 1_234, "currency": "EUR"},
        "paymentMethod": {"token": "tok_visa"},
    }
    return {"query": CREATE, "variables": {"input": given}}


async def test_answer_tells_where_its_time_went(world: World) -> None:
    await world.pay()  # what is read once per process is read
    answer = await world.post(_payment())
    found = _TIMING.fullmatch(answer.headers["server-timing"])
    assert found is not None
    total, gateway, commit = map(float, found.groups()[:3])
    assert 0 < gateway + commit < total
    assert 1 <= int(found[4]) <= 6
    assert int(found[5]) == 2


async def test_nobody_is_told_in_production_unless_it_is_switched_on(
    world: World, production_url: str
) -> None:
    async with httpx.AsyncClient(base_url=production_url) as client:
        headers = {"Authorization": f"Bearer {world.secret}"}
        answer = await client.post("/graphql", json=_payment(), headers=headers)
    assert answer.status_code == 200
    assert "server-timing" not in answer.headers


@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
async def test_what_needs_no_database_counts_no_statement(world: World, path: str) -> None:
    answer = await world.client.get(path)
    assert answer.headers["server-timing"].endswith('sql;desc="0 statements, 0 commits"')
