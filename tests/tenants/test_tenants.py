"""Tenants are made in their own scope and listed by name."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from payengine.errors import InputInvalid, NotFound
from payengine.storage import Database
from payengine_tenants import Tenants


async def test_a_tenant_is_made_and_read(database: Database) -> None:
    tenants = Tenants(database)
    made = await tenants.create("  Ada's shop ", "live", "ada")
    assert await tenants.get(made.id) == made
    assert (made.name, made.mode, made.organisation) == ("Ada's shop", "live", "ada")
    context = made.context("operator")
    assert (context.tenant_id, context.mode) == (made.id, "live")


async def test_a_tenant_without_an_organisation_begins_its_own(database: Database) -> None:
    one, two = [await Tenants(database).create("twin") for _ in range(2)]
    assert one.organisation != two.organisation
    assert one.mode == "test"


@pytest.mark.parametrize(
    ("name", "mode"),
    [("", "test"), ("  ", "test"), ("x" * 201, "test"), ("a\0", "test"), ("a", "")],
)
async def test_bad_names_and_modes_are_refused(database: Database, name: str, mode: Any) -> None:
    with pytest.raises(InputInvalid):
        await Tenants(database).create(name, mode)


async def test_an_unknown_tenant_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        await Tenants(database).get(uuid.uuid4())


async def test_tenants_are_listed_in_pages(database: Database) -> None:
    tenants = Tenants(database)
    made = [await tenants.create(f"page {n}") for n in range(3)]
    seen, after = [], None
    while page := await tenants.list(after=after, first=2):
        assert len(page) <= 2
        seen += page
        after = page[-1].id
    made.sort(key=lambda tenant: tenant.id)  # ids of one millisecond have no order
    assert [tenant for tenant in seen if tenant in made] == made
    assert len({tenant.id for tenant in seen}) == len(seen)
