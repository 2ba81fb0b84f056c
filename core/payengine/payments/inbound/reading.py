"""What have the providers told us, and what is done with it again?

A person may look at every received webhook and at the call that brought it, and may have one
applied again: that is harmless, because a fact that is known changes nothing.
"""

from __future__ import annotations

import msgspec

from payengine.context import TenantContext
from payengine.errors import NotFound
from payengine.payments.inbound.models import KeptRequest, ReceivedWebhook, WebhookState
from payengine.payments.inbound.requests import open_request
from payengine.payments.means import Means
from payengine.storage.columns import Columns

__all__ = ["ReceivedWebhooks", "WebhookFilter"]

_LARGEST_PAGE = 200

_RECEIVED = Columns(ReceivedWebhook)

_PAGE = f"""
    SELECT {_RECEIVED.listed} FROM received_webhook
    WHERE tenant_id = $1 AND ($2::text IS NULL OR id < $2)
      AND ($3::text[] IS NULL OR state = ANY ($3)) AND ($4::text IS NULL OR gateway = $4)
      AND (NOT $5::boolean OR needs_review) AND ($6::text IS NULL OR payment_id = $6)
    ORDER BY id DESC LIMIT $7
"""
_READ = f"SELECT {_RECEIVED.listed} FROM received_webhook WHERE tenant_id = $1 AND id = ANY ($2)"
_REQUEST = """
    SELECT request.id, request.sealed, request.redacted, request.received_at, request.forgotten_at
    FROM received_webhook AS received
    JOIN webhook_request AS request
      ON request.tenant_id = received.tenant_id AND request.id = received.request_id
    WHERE received.tenant_id = $1 AND received.id = $2
"""
_REPLAY = f"""
    UPDATE received_webhook
    SET state = 'pending', problem = NULL, needs_review = false, due_at = received_at,
        settled_at = NULL, tries = 0, failures = 0, version = version + 1
    WHERE tenant_id = $1 AND id = $2 RETURNING {_RECEIVED.listed}
"""


class WebhookFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which to list; all that is given must hold. `needs_review`: those alone that wait for one."""

    states: tuple[WebhookState, ...] = ()
    gateway: str | None = None
    payment_id: str | None = None
    needs_review: bool = False


class ReceivedWebhooks:
    """Shows received webhooks and plays them again."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def page(
        self,
        context: TenantContext,
        wanted: WebhookFilter,
        *,
        first: int,
        after: str | None = None,
    ) -> list[ReceivedWebhook]:
        """At most `first` + 1 of them, the newest first, behind the id `after`."""
        context.require("webhooks:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(
                _PAGE,
                context.tenant_id,
                after,
                list(wanted.states) or None,
                wanted.gateway,
                wanted.needs_review,
                wanted.payment_id,
                min(first, _LARGEST_PAGE) + 1,
            )
        return [_RECEIVED.read(row) for row in rows]

    async def get_many(self, context: TenantContext, ids: list[str]) -> dict[str, ReceivedWebhook]:
        """Those with these ids, by id."""
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_READ, context.tenant_id, ids)
        return {row["id"]: _RECEIVED.read(row) for row in rows}

    async def request_of(self, context: TenantContext, webhook_id: str) -> KeptRequest:
        """The call that brought it, which may hold personal data: needs `webhooks:write`.

        Raises `NotFound`, `PermissionDenied`, `VaultSealed`.
        """
        context.require("webhooks:write")
        async with self._means.database.tenant(context.tenant_id) as session:
            row = await session.fetchrow(_REQUEST, context.tenant_id, webhook_id)
            if row is None:
                raise NotFound("There is no such received webhook.")
            if row["forgotten_at"] is not None:
                raise NotFound("The call is too old: it is kept no longer.")
            return await open_request(
                self._means.vault,
                session,
                context.tenant_id,
                request_id=row["id"],
                sealed=row["sealed"],
                received_at=row["received_at"],
                redacted=row["redacted"],
            )

    async def replay(self, context: TenantContext, webhook_id: str) -> ReceivedWebhook:
        """Have it applied again, soon. Raises `NotFound`, `PermissionDenied`."""
        context.require("webhooks:write")
        async with self._means.database.tenant(context.tenant_id) as session:
            row = await session.fetchrow(_REPLAY, context.tenant_id, webhook_id)
        if row is None:
            raise NotFound("There is no such received webhook.")
        return _RECEIVED.read(row)
