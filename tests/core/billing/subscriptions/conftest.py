"""What these tests may use: a shop of their own."""

from __future__ import annotations

import pytest
from payengine.context import TenantContext
from payengine.storage import Database
from payengine.vault import MasterKey, Vault

from tests.conftest import Servers
from tests.core.billing.subscriptions.shops import SubscriptionShop, subscription_shop


@pytest.fixture
def vault(servers: Servers) -> Vault:
    """The vault of the session's home."""
    return Vault(MasterKey(servers.home / "master.key", may_create=True))


@pytest.fixture
def shop(database: Database, vault: Vault, tenant: TenantContext) -> SubscriptionShop:
    """A tenant whose clock stands at the first of June."""
    return subscription_shop(database, vault, tenant)
