"""A tenant's own history trains its model, which judges once the gate opens."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from payengine.cli import app
from payengine.fraud.decisions import DecisionRow
from payengine.fraud.keeping import keep_decision
from payengine.fraud.labels import write_label
from payengine.fraud.replay.history import read_history
from payengine.fraud.replay.worlds import Row, World, instant, read_world
from payengine.plugin import Label, to_plain

from tests.core.fraud.replay.small_worlds import gateway_rows, written
from tests.engines import Shop, Till, open_till
from tests.servers import HomeOfTest


@pytest.fixture(scope="module")
async def till(payment_home: HomeOfTest) -> AsyncIterator[Till]:
    async with open_till(payment_home) as opened:
        yield opened


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    path = written(gateway_rows(days=36), tmp_path_factory.mktemp("world") / "world.csv")
    return read_world(path, label_delay_days=5)


@pytest.fixture(scope="module")
async def shop(till: Till, world: World) -> Shop:
    """A tenant that has been in business for five weeks."""
    made = await till.shop()
    tenant_id = made.context.tenant_id
    async with made.engine.database.tenant(tenant_id) as session:
        for row in world.rows:
            await keep_decision(session, tenant_id, _decided(world, row))
            if row.label_at is not None and row.fraud:
                label = Label(
                    payment_id=row.payment_id,
                    is_fraud=True,
                    observed_at=instant(row.label_at),
                    source="dispute",
                )
                await write_label(session, tenant_id, label)
    return made


def _decided(world: World, row: Row) -> DecisionRow:
    context = to_plain(world.context(row))
    for name in ("tenant", "payment_id", "metadata"):
        context.pop(name, None)
    return DecisionRow(
        payment_id=row.payment_id,
        number=1,
        stage="pre_auth",
        verdict="allow",
        degraded=False,
        document={"context": context, "verdicts": [], "by": [], "score": None, "took_us": 1},
        decided_at=instant(row.at) + timedelta(milliseconds=5),
    )


async def _run(shop: Shop, *words: str) -> tuple[int, str, str]:
    """The command as a process of its own: its code, its last line and its complaints."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from payengine.cli import main; main()", "fraud", *words),
        env={**kept, "PAYENGINE_HOME": str(shop.till.home.home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    assert process.returncode is not None
    lines = output.decode().splitlines()
    return process.returncode, lines[-1] if lines else "", complaints.decode()


async def test_the_history_is_what_was_told_and_what_became_known(shop: Shop, world: World) -> None:
    history = await read_history(shop.engine.database, shop.context)
    assert len(history.rows) == len(world.rows)
    theirs = {row.payment_id: row for row in world.rows}
    place, their_place = history.fields.index("device"), world.fields.index("device")
    for row in history.rows:
        told = theirs[row.payment_id.partition(":")[0]]
        assert (row.at, row.minor) == (told.at, told.minor)
        assert row.texts[place] == told.texts[their_place]
        assert row.account_age_days == told.account_age_days
        if told.fraud and told.label_at is not None:
            assert row.fraud == 1
            assert row.label_at in (told.label_at, told.label_at + 1)
        else:
            assert (row.fraud, row.label_at) == (0, None)


async def test_another_tenant_has_no_part_in_it(shop: Shop, till: Till) -> None:
    other = await till.shop()
    assert (await read_history(other.engine.database, other.context)).rows == []


async def test_a_model_is_trained_promoted_and_put_back(shop: Shop, tmp_path: Path) -> None:
    tenant, output = str(shop.context.tenant_id), tmp_path / "model.json"
    code, last, complaints = await _run(
        shop, "train", "--tenant", tenant, "--output", str(output), "--delay-days", "5"
    )
    assert code == 0, complaints
    trained: dict[str, Any] = json.loads(last)
    assert trained["number"] == 1
    assert trained["frauds"] > 20
    assert trained["ap"] > 0.5

    words = ("promote", "1", "--tenant", tenant, "--reason", "better")
    code, last, complaints = await _run(shop, *words)
    judged = json.loads(last)
    assert code == (0 if judged["passed"] else 1), complaints
    assert judged["passed"] == (judged["objections"] == [])

    code, last, complaints = await _run(shop, "rollback", "--tenant", tenant, "--reason", "worse")
    if judged["passed"]:
        assert code == 0, complaints
        assert json.loads(last)["model"] is None
        assert len(await _promoted(shop)) == 2
    else:
        assert await _promoted(shop) == []


async def _promoted(shop: Shop) -> list[Any]:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        return await session.fetch(
            "SELECT * FROM fraud_promotion WHERE tenant_id = $1", shop.context.tenant_id
        )


def test_a_file_or_a_tenant_is_named_and_not_both(tmp_path: Path) -> None:
    words = ["fraud", "train", "--output", str(tmp_path / "m.json")]
    assert app(words, result_action="return_value") == 1
    tenant = ["fraud", "promote", "--tenant", "01890000-0000-7000-8000-000000000000"]
    assert app([*tenant, "--reason", "x"], result_action="return_value") == 1
    lost = [*tenant, "--reason", "x", "--model", str(tmp_path / "none.json")]
    assert app(lost, result_action="return_value") == 1
