"""Who is asking, and which rows they may see?

`Tenants` makes worlds; `ApiKeys` makes the keys that open them and turns a key that was sent into
the `TenantContext` without which core does no work.
"""

from __future__ import annotations

from payengine_tenants.keys import ApiKey, ApiKeys
from payengine_tenants.tenants import Tenant, Tenants

__all__ = ["ApiKey", "ApiKeys", "Tenant", "Tenants"]
