"""The demo's shops are made once, and their keys are nobody else's business."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from payengine.context import SCOPES
from payengine.errors import EnvironmentProblem
from payengine.settings import Settings
from payengine.storage import Database
from payengine_graphql.demo.tenants import ensure_demo_tenants, read_demo_tenants
from payengine_tenants.keys import ApiKeys


def _settings(folder: Path) -> Settings:
    return Settings.from_environment({}, home=folder)


async def test_the_shops_are_made_once_and_their_keys_work(
    database: Database, tmp_path: Path
) -> None:
    settings = _settings(tmp_path)
    assert read_demo_tenants(settings) == []
    made = await ensure_demo_tenants(database, settings)
    assert [shop.currency for shop in made] == ["EUR", "USD", "GBP"]
    assert await ensure_demo_tenants(database, settings) == made
    assert read_demo_tenants(settings) == made
    for shop in made:
        context = await ApiKeys(database).authenticate(shop.api_key)
        assert str(context.tenant_id) == shop.tenant_id
        assert context.scopes == frozenset(SCOPES)
        assert context.mode == "test"


async def test_the_file_with_the_keys_is_its_owners_alone(
    database: Database, tmp_path: Path
) -> None:
    await ensure_demo_tenants(database, _settings(tmp_path))
    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600


async def test_shops_of_another_database_are_made_anew(database: Database, tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    made = await ensure_demo_tenants(database, settings)
    text = (tmp_path / "demo.json").read_text()
    (tmp_path / "demo.json").write_text(
        text.replace(made[0].tenant_id, f"{'0' * 8}-0000-0000-0000-{'0' * 12}")
    )
    again = await ensure_demo_tenants(database, settings)
    assert {shop.tenant_id for shop in again}.isdisjoint(shop.tenant_id for shop in made)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("[")
    with pytest.raises(EnvironmentProblem, match=r"demo\.json"):
        read_demo_tenants(_settings(tmp_path))
