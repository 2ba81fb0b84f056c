"""A seller for each test, on the session's database."""

from __future__ import annotations

import pytest
from payengine.context import TenantContext
from payengine.storage import Database
from payengine.vault import MasterKey, Vault

from tests.conftest import Servers
from tests.core.billing.invoices.selling import Seller, seller


@pytest.fixture
def vault(servers: Servers) -> Vault:
    """The vault of the session's home."""
    return Vault(MasterKey(servers.home / "master.key", may_create=True))


@pytest.fixture
async def shop(database: Database, vault: Vault, tenant: TenantContext) -> Seller:
    """A tenant that nobody used before, at the end of June 2025."""
    return seller(database, vault, tenant)
