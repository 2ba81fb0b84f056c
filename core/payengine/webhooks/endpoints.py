"""Where does a tenant want to be told, of what, and with which secret?"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from payengine.context import TenantContext
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.idempotency import check_key, claim, claimed, fingerprint
from payengine.ids import new_id
from payengine.storage import Session
from payengine.texts import check_id, check_text
from payengine.webhooks.means import Means
from payengine.webhooks.messages import check_event_types
from payengine.webhooks.models import (
    CreateEndpoint,
    DeleteEndpoint,
    DisableEndpoint,
    EnableEndpoint,
    Endpoint,
    RotateSecret,
    Secret,
    UpdateEndpoint,
)
from payengine.webhooks.signing import new_secret
from payengine.webhooks.store import ENDPOINT, SECRET, seal_secret

__all__ = ["MAX_ENDPOINTS", "MAX_OVERLAP_S", "Endpoints", "claim_once", "one_endpoint"]

#: How many endpoints a tenant may have; deleted ones do not count.
MAX_ENDPOINTS = 50
MAX_OVERLAP_S = 7 * 86_400
#: How long a name may be looked up while its endpoint is saved.
_LOOK_UP_S = 3.0

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"

_COUNT = "SELECT count(*) FROM webhook_endpoint WHERE tenant_id = $1 AND status <> 'deleted'"

_INSERT = f"""
    INSERT INTO webhook_endpoint (tenant_id, {ENDPOINT.listed})
    VALUES ($1, {ENDPOINT.parameters(2)})
"""

_HEAD = "SELECT coalesce(max(position), 0) FROM event_stream WHERE tenant_id = $1"

_UPDATE = """
    UPDATE webhook_endpoint
    SET url = coalesce($3, url), event_types = coalesce($4::text[], event_types),
        description = coalesce($5, description), updated_at = $6, version = version + 1,
        retry_at = CASE WHEN $3 IS NULL THEN retry_at END,
        first_tried_at = CASE WHEN $3 IS NULL THEN first_tried_at END,
        tries = CASE WHEN $3 IS NULL THEN tries ELSE 0 END
    WHERE tenant_id = $1 AND id = $2 AND status <> 'deleted'
"""

_PLACE = "SELECT position FROM webhook_endpoint WHERE tenant_id = $1 AND id = $2 FOR UPDATE"

#: The fence rises too: a reader that still holds the endpoint must not write over the position.
_ENABLE = """
    UPDATE webhook_endpoint
    SET status = 'enabled', disabled_reason = NULL, disabled_at = NULL, tries = 0,
        first_tried_at = NULL, retry_at = NULL, leased_until = NULL, fence = fence + 1,
        position = CASE $3 WHEN 'now' THEN greatest(position, $4)
                           WHEN 'next' THEN position + (tries > 0)::integer
                           ELSE position END,
        updated_at = $5, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND status = 'disabled'
"""

_SKIP = """
    UPDATE webhook_delivery SET status = 'skipped', next_attempt_at = NULL, updated_at = $4
    WHERE tenant_id = $1 AND endpoint_id = $2 AND position > $3 AND position <= $5
      AND status IN ('retrying', 'exhausted')
"""

_DISABLE = """
    UPDATE webhook_endpoint
    SET status = 'disabled', disabled_reason = 'tenant', disabled_at = $3, retry_at = NULL,
        updated_at = $3, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND status = 'enabled'
"""

_DELETE = """
    UPDATE webhook_endpoint
    SET status = 'deleted', retry_at = NULL, redeliver_at = NULL, fence = fence + 1,
        leased_until = NULL, updated_at = $3, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND status <> 'deleted'
    RETURNING id
"""

_TOUCH = """
    UPDATE webhook_endpoint SET updated_at = $3, version = version + 1
    WHERE tenant_id = $1 AND id = $2 AND status <> 'deleted'
    RETURNING id
"""

_INSERT_SECRET = f"""
    INSERT INTO webhook_secret (tenant_id, {SECRET.listed}, sealed)
    VALUES ($1, {SECRET.parameters(2)}, ${2 + len(SECRET.names)})
"""

#: The newest keeps signing until `$4`; those before it end now.
_EXPIRE = """
    UPDATE webhook_secret SET expires_at = CASE WHEN expires_at IS NULL THEN $4 ELSE $3 END
    WHERE tenant_id = $1 AND endpoint_id = $2 AND (expires_at IS NULL OR expires_at > $3)
"""

_BY_ID = f"""
    SELECT {ENDPOINT.listed} FROM webhook_endpoint
    WHERE tenant_id = $1 AND id = ANY ($2) AND status <> 'deleted'
"""

_PAGE = f"""
    SELECT {ENDPOINT.listed} FROM webhook_endpoint
    WHERE tenant_id = $1 AND id < coalesce($2, '~') AND status <> 'deleted'
    ORDER BY id DESC LIMIT $3
"""

_SECRETS_OF = f"""
    SELECT {SECRET.listed} FROM webhook_secret
    WHERE tenant_id = $1 AND endpoint_id = ANY ($2) AND (expires_at IS NULL OR expires_at > $3)
    ORDER BY id DESC
"""


class Endpoints:
    """The endpoints of all tenants, each seen by its own alone."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def create(
        self, context: TenantContext, request: CreateEndpoint
    ) -> tuple[Endpoint, str | None]:
        """A new endpoint and its secret, which is shown this once: None for a key used before.

        Raises `WebhookUrlRefused`, `InputInvalid`, and `Conflict` where there are 50 already.
        """
        context.require("webhooks:write")
        check_key(request.idempotency_key)
        _check_words(request.event_types, request.description)
        if earlier := await self._earlier(context, "createWebhookEndpoint", request):
            return await self._get(context, earlier), None
        await self._check_url(context, request.url)
        now = self._now(context)
        endpoint_id, secret = new_id("whe"), new_secret()
        async with self._means.database.tenant(context.tenant_id) as session:
            taken = await claim_once(
                session, context, "createWebhookEndpoint", request, endpoint_id, at=now
            )
            if taken is not None:
                return await one_endpoint(session, context, taken), None
            await session.execute(_LOCK, f"webhook_endpoint {context.tenant_id}")
            if await session.fetchval(_COUNT, context.tenant_id) >= MAX_ENDPOINTS:
                raise Conflict(f"A tenant has at most {MAX_ENDPOINTS} webhook endpoints.")
            endpoint = Endpoint(
                id=endpoint_id,
                url=request.url,
                description=request.description,
                event_types=request.event_types,
                status="enabled",
                disabled_reason=None,
                disabled_at=None,
                epoch=self._means.log.epoch,
                position=await session.fetchval(_HEAD, context.tenant_id),
                tries=0,
                first_tried_at=None,
                retry_at=None,
                version=1,
                created_at=now,
                updated_at=now,
            )
            await session.execute(_INSERT, context.tenant_id, *ENDPOINT.values(endpoint))
            await self._add_secret(session, context, endpoint_id, secret, at=now)
        return endpoint, secret

    async def update(self, context: TenantContext, request: UpdateEndpoint) -> Endpoint:
        """Change an endpoint; a new URL is tried at once. Raises as `create`, and `NotFound`."""
        self._check(context, request.idempotency_key, request.endpoint_id)
        _check_words(request.event_types or (), request.description)
        if earlier := await self._earlier(context, "updateWebhookEndpoint", request):
            return await self._get(context, earlier)
        if request.url is not None:
            await self._check_url(context, request.url)
        types = None if request.event_types is None else list(request.event_types)
        return await self._change(
            context,
            "updateWebhookEndpoint",
            request,
            _UPDATE,
            request.url,
            types,
            request.description,
            self._now(context),
        )

    async def enable(self, context: TenantContext, request: EnableEndpoint) -> Endpoint:
        """Go on telling a disabled endpoint; one that is enabled stays as it is.

        Raises `NotFound`.
        """
        self._check(context, request.idempotency_key, request.endpoint_id)
        if request.resume not in ("left_off", "next", "now"):
            raise InputInvalid("resume is LEFT_OFF, NEXT or NOW.", path=("resume",))
        now = self._now(context)
        async with self._means.database.tenant(context.tenant_id) as session:
            taken = await claim_once(
                session, context, "enableWebhookEndpoint", request, request.endpoint_id, at=now
            )
            if taken is None:
                await self._enable(session, context, request, at=now)
            return await one_endpoint(session, context, request.endpoint_id)

    async def disable(self, context: TenantContext, request: DisableEndpoint) -> Endpoint:
        """Tell no more until it is enabled; its place in the log is kept. Raises `NotFound`."""
        self._check(context, request.idempotency_key, request.endpoint_id)
        return await self._change(
            context, "disableWebhookEndpoint", request, _DISABLE, self._now(context)
        )

    async def delete(self, context: TenantContext, request: DeleteEndpoint) -> str:
        """Tell no more, for ever; its secrets end. The id; raises `NotFound`."""
        self._check(context, request.idempotency_key, request.endpoint_id)
        now = self._now(context)
        async with self._means.database.tenant(context.tenant_id) as session:
            taken = await claim_once(
                session, context, "deleteWebhookEndpoint", request, request.endpoint_id, at=now
            )
            if taken is None:
                found = await session.fetchval(_DELETE, context.tenant_id, request.endpoint_id, now)
                if found is None:
                    raise _no_endpoint()
                await session.execute(_EXPIRE, context.tenant_id, request.endpoint_id, now, now)
        return request.endpoint_id

    async def rotate(
        self, context: TenantContext, request: RotateSecret
    ) -> tuple[Endpoint, str | None]:
        """A new secret, shown this once; the one before signs beside it for `overlap_s` seconds.

        Two are live at most: an older one ends at once. Raises `NotFound` and `InputInvalid`.
        """
        self._check(context, request.idempotency_key, request.endpoint_id)
        if not 0 <= request.overlap_s <= MAX_OVERLAP_S:
            raise InputInvalid(
                f"overlapSeconds is 0 to {MAX_OVERLAP_S}, which is a week.",
                path=("overlapSeconds",),
            )
        now = self._now(context)
        secret = new_secret()
        async with self._means.database.tenant(context.tenant_id) as session:
            taken = await claim_once(
                session, context, "rotateWebhookSecret", request, request.endpoint_id, at=now
            )
            if taken is not None:
                return await one_endpoint(session, context, taken), None
            touched = await session.fetchval(_TOUCH, context.tenant_id, request.endpoint_id, now)
            if touched is None:
                raise _no_endpoint()
            await session.execute(
                _EXPIRE,
                context.tenant_id,
                request.endpoint_id,
                now,
                now + timedelta(seconds=request.overlap_s),
            )
            await self._add_secret(session, context, request.endpoint_id, secret, at=now)
            return await one_endpoint(session, context, request.endpoint_id), secret

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Endpoint]:
        """The endpoints that exist, by id."""
        context.require("webhooks:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: ENDPOINT.read(row) for row in rows}

    async def page(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[Endpoint]:
        """Newest first, after the endpoint `after`; one more than `first` where there is."""
        context.require("webhooks:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, after, first + 1)
        return [ENDPOINT.read(row) for row in rows]

    async def secrets_of(
        self, context: TenantContext, endpoint_ids: Sequence[str]
    ) -> dict[str, list[Secret]]:
        """Each endpoint's live secrets, the newest first; never the secrets themselves."""
        context.require("webhooks:read")
        now = self._now(context)
        found: dict[str, list[Secret]] = defaultdict(list)
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_SECRETS_OF, context.tenant_id, list(endpoint_ids), now)
        for row in rows:
            found[row["endpoint_id"]].append(SECRET.read(row))
        return found

    def _now(self, context: TenantContext) -> datetime:
        return self._means.clock.now(context.tenant_id)

    def _check(self, context: TenantContext, key: str, endpoint_id: str) -> None:
        context.require("webhooks:write")
        check_key(key)
        check_id(endpoint_id, "whe", field="webhookEndpointId")

    async def _check_url(self, context: TenantContext, url: str) -> None:
        check_text(url, field="url", most=10_000)
        addresses = self._means.sender.addresses
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                await addresses.check(context.tenant_id, context.mode, url)
        except TimeoutError:
            pass  # a name that is slow to look up is looked up again at each send

    async def _earlier(
        self, context: TenantContext, mutation: str, request: msgspec.Struct
    ) -> str | None:
        """What the key did before: asked first, as a name may have other addresses by now."""
        key: str = request.idempotency_key  # type: ignore[attr-defined]
        async with self._means.database.tenant(context.tenant_id) as session:
            return await claimed(
                session, context.tenant_id, key=key, fingerprint=fingerprint(mutation, request)
            )

    async def _get(self, context: TenantContext, endpoint_id: str) -> Endpoint:
        async with self._means.database.tenant(context.tenant_id) as session:
            return await one_endpoint(session, context, endpoint_id)

    async def _enable(
        self,
        session: Session,
        context: TenantContext,
        request: EnableEndpoint,
        *,
        at: datetime,
    ) -> None:
        tenant_id, endpoint_id = context.tenant_id, request.endpoint_id
        before = await session.fetchval(_PLACE, tenant_id, endpoint_id)
        head = await session.fetchval(_HEAD, tenant_id)
        await session.execute(_ENABLE, tenant_id, endpoint_id, request.resume, head, at)
        endpoint = await one_endpoint(session, context, endpoint_id)
        if endpoint.position != before:
            await session.execute(_SKIP, tenant_id, endpoint_id, before, at, endpoint.position)

    async def _change(
        self,
        context: TenantContext,
        mutation: str,
        request: UpdateEndpoint | DisableEndpoint,
        sql: str,
        *values: object,
    ) -> Endpoint:
        async with self._means.database.tenant(context.tenant_id) as session:
            endpoint_id = request.endpoint_id
            taken = await claim_once(
                session, context, mutation, request, endpoint_id, at=self._now(context)
            )
            if taken is None:
                await session.execute(sql, context.tenant_id, endpoint_id, *values)
            return await one_endpoint(session, context, endpoint_id)

    async def _add_secret(
        self,
        session: Session,
        context: TenantContext,
        endpoint_id: str,
        secret: str,
        *,
        at: datetime,
    ) -> None:
        row = Secret(
            id=new_id("whs"),
            endpoint_id=endpoint_id,
            last_four=secret[-4:],
            created_at=at,
            expires_at=None,
        )
        sealed = await seal_secret(
            session, self._means.vault, context.tenant_id, secret_id=row.id, secret=secret
        )
        await session.execute(_INSERT_SECRET, context.tenant_id, *SECRET.values(row), sealed)


async def claim_once(
    session: Session,
    context: TenantContext,
    mutation: str,
    request: msgspec.Struct,
    resource_id: str,
    *,
    at: datetime,
) -> str | None:
    """Claim the request's key; the earlier resource's id where it is taken."""
    key: str = request.idempotency_key  # type: ignore[attr-defined]
    return await claim(
        session,
        context.tenant_id,
        key=key,
        mutation=mutation,
        fingerprint=fingerprint(mutation, request),
        resource_id=resource_id,
        at=at,
    )


async def one_endpoint(session: Session, context: TenantContext, endpoint_id: str) -> Endpoint:
    """The endpoint; raises `NotFound`."""
    rows = await session.fetch(_BY_ID, context.tenant_id, [endpoint_id])
    if not rows:
        raise _no_endpoint()
    return ENDPOINT.read(rows[0])


def _no_endpoint() -> NotFound:
    return NotFound("There is no such webhook endpoint.", path=("webhookEndpointId",))


def _check_words(event_types: Sequence[str], description: str | None) -> None:
    check_event_types(event_types)
    check_text(description, field="description", most=500)
