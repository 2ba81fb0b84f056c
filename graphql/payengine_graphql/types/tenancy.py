"""How are tenants and their API keys shown?"""

from __future__ import annotations

import strawberry
from payengine_tenants.keys import ApiKey as ApiKeyRow
from payengine_tenants.tenants import Tenant as TenantRow

from payengine_graphql.scalars import DateTime
from payengine_graphql.types.fields import column, computed

__all__ = ["ApiKey", "Tenant", "Viewer"]


@strawberry.type(description="One world of an organisation, live or test.")
class Tenant:
    """See the description."""

    row: strawberry.Private[TenantRow]
    id: strawberry.ID = column("The tenant's id.")
    name: str = column("The tenant's name.")
    mode: str = column("`live` or `test`.")
    organisation: str = column("What the worlds of one organisation share.")
    created_at: DateTime = column("When it was made.")


@strawberry.type(description="Who asks: the API key's tenant and what the key may do.")
class Viewer:
    """See the description."""

    tenant: Tenant = strawberry.field(description="The tenant.")
    actor: str = strawberry.field(description="The id of the API key.")
    scopes: list[str] = strawberry.field(description="What the key may do.")


@strawberry.type(description="An API key; its secret is shown once, when it is made.")
class ApiKey:
    """See the description."""

    row: strawberry.Private[ApiKeyRow]
    id: strawberry.ID = column("The key's id.")
    name: str = column("Your own name for it.")
    last_four: str = column("The last four characters of its secret.")
    created_at: DateTime = column("When it was made.")
    expires_at: DateTime | None = column("When it stops to work.")
    revoked_at: DateTime | None = column("When it was revoked.")

    @computed("What its holder may do.")
    def scopes(self) -> list[str]:
        """In order."""
        return sorted(self.row.scopes)
