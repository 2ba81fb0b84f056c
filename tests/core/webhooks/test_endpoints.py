"""Endpoints are what the tenant says, secrets are shown once and rotate without a gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.clock import FixedClock
from payengine.context import TenantContext
from payengine.errors import (
    Conflict,
    IdempotencyConflict,
    InputInvalid,
    NotFound,
    PayengineError,
    PermissionDenied,
    SensitiveDataRefused,
    WebhookUrlRefused,
)
from payengine.ids import new_id
from payengine.webhooks import Resolver
from payengine.webhooks.endpoints import MAX_ENDPOINTS
from payengine.webhooks.models import (
    CreateEndpoint,
    DeleteEndpoint,
    DisableEndpoint,
    EnableEndpoint,
    RotateSecret,
    UpdateEndpoint,
)
from standardwebhooks.webhooks import WebhookVerificationError

from tests.engines import key
from tests.posts import Post, open_post
from tests.receivers import receiving
from tests.servers import HomeOfTest

_URL = "https://hooks.example.invalid/payments"


async def test_an_endpoint_is_what_was_asked_for(post: Post) -> None:
    endpoint = await post.add(_URL, "payment.*", description="the shop")
    assert (endpoint.url, endpoint.event_types) == (_URL, ("payment.*",))
    assert (endpoint.status, endpoint.description) == ("enabled", "the shop")
    assert await post.endpoint(endpoint.id) == endpoint
    assert await post.webhooks.endpoints.page(post.context, first=5) == [endpoint]
    assert post.secrets[endpoint.id].startswith("whsec_")


async def test_the_same_key_makes_one_endpoint_and_shows_the_secret_once(post: Post) -> None:
    request = CreateEndpoint(idempotency_key=key(), url=_URL)
    made, secret = await post.webhooks.endpoints.create(post.context, request)
    again, nothing = await post.webhooks.endpoints.create(post.context, request)
    assert (again, nothing) == (made, None)
    assert secret is not None
    other = CreateEndpoint(idempotency_key=request.idempotency_key, url=_URL + "/2")
    with pytest.raises(IdempotencyConflict):
        await post.webhooks.endpoints.create(post.context, other)


async def test_the_secret_rests_sealed(post: Post) -> None:
    endpoint = await post.add(_URL)
    secret = post.secrets[endpoint.id]
    async with post.means.database.tenant(post.context.tenant_id) as session:
        rows = await session.fetch("SELECT * FROM webhook_secret")
    (row,) = (row for row in rows if row["endpoint_id"] == endpoint.id)
    assert secret[6:20].encode() not in row["sealed"]
    assert row["last_four"] == secret[-4:]


@pytest.mark.parametrize(
    ("given", "error", "path"),
    [
        ({"url": "http://127.0.0.1/"}, WebhookUrlRefused, ("url",)),
        ({"url": "https://169.254.169.254/"}, WebhookUrlRefused, ("url",)),
        ({"url": "https://internal-name/"}, WebhookUrlRefused, ("url",)),
        ({"url": "https://sneaky.example.com/"}, WebhookUrlRefused, ("url",)),
        ({"event_types": ("payment.",)}, InputInvalid, ("eventTypes",)),
        ({"event_types": ("*.payment",)}, InputInvalid, ("eventTypes",)),
        ({"event_types": ("Payment.created",)}, InputInvalid, ("eventTypes",)),
        ({"event_types": ("",)}, InputInvalid, ("eventTypes",)),
        ({"event_types": ("payment.created",) * 51}, InputInvalid, ("eventTypes",)),
        ({"description": "x" * 501}, InputInvalid, ("description",)),
        ({"description": "4242424242424242"}, SensitiveDataRefused, ("description",)),
        ({"url": _URL + "?card=4242424242424242"}, SensitiveDataRefused, ("url",)),
        ({"idempotency_key": ""}, InputInvalid, ("idempotencyKey",)),
    ],
)
async def test_what_cannot_be_accepted_is_refused_and_leaves_nothing(
    webhook_home: HomeOfTest,
    given: dict[str, Any],
    error: type[PayengineError],
    path: tuple[str, ...],
) -> None:
    resolver = Resolver(lambda host: ["10.0.0.1"] if host == "sneaky.example.com" else [])
    async with open_post(webhook_home, allow_private=False, resolver=resolver) as post:
        with pytest.raises(error) as refused:
            await post.add(**({"url": _URL} | given))
        assert refused.value.path == path
        async with post.means.database.tenant(post.context.tenant_id) as session:
            for table in ("webhook_endpoint", "webhook_secret", "idempotency_key"):
                assert await session.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_a_tenant_has_a_bounded_number_of_endpoints(post: Post) -> None:
    made = [await post.add(_URL) for _ in range(MAX_ENDPOINTS)]
    with pytest.raises(Conflict):
        await post.add(_URL)
    await post.webhooks.endpoints.delete(
        post.context, DeleteEndpoint(idempotency_key=key(), endpoint_id=made[0].id)
    )
    await post.add(_URL)


async def test_an_update_changes_what_is_given(post: Post) -> None:
    endpoint = await post.add(_URL, "payment.*", description="old")
    request = UpdateEndpoint(idempotency_key=key(), endpoint_id=endpoint.id, description="new")
    changed = await post.webhooks.endpoints.update(post.context, request)
    assert (changed.description, changed.url, changed.event_types) == ("new", _URL, ("payment.*",))
    request = UpdateEndpoint(idempotency_key=key(), endpoint_id=endpoint.id, event_types=())
    assert (await post.webhooks.endpoints.update(post.context, request)).event_types == ()
    with pytest.raises(WebhookUrlRefused):
        await post.webhooks.endpoints.update(
            post.context,
            UpdateEndpoint(
                idempotency_key=key(), endpoint_id=endpoint.id, url="https://169.254.169.254/"
            ),
        )


async def test_a_deleted_endpoint_is_gone(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        request = DeleteEndpoint(idempotency_key=key(), endpoint_id=endpoint.id)
        for _ in range(2):
            assert await post.webhooks.endpoints.delete(post.context, request) == endpoint.id
        await post.happen("payment.created")
        assert await post.run() == 0
    assert receiver.got == []
    endpoints, context = post.webhooks.endpoints, post.context
    assert await endpoints.page(context, first=5) == []
    assert await endpoints.secrets_of(context, [endpoint.id]) == {}
    for attempt in (
        endpoints.delete(context, DeleteEndpoint(idempotency_key=key(), endpoint_id=endpoint.id)),
        endpoints.enable(context, EnableEndpoint(idempotency_key=key(), endpoint_id=endpoint.id)),
        endpoints.rotate(context, RotateSecret(idempotency_key=key(), endpoint_id=endpoint.id)),
        endpoints.disable(context, DisableEndpoint(idempotency_key=key(), endpoint_id=endpoint.id)),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_an_id_of_nobody_is_not_found_and_claims_no_key(post: Post) -> None:
    one_key = key()
    with pytest.raises(NotFound):
        await post.webhooks.endpoints.disable(
            post.context, DisableEndpoint(idempotency_key=one_key, endpoint_id=new_id("whe"))
        )
    await post.add(_URL, idempotency_key=one_key)


async def test_while_a_secret_is_rotated_both_sign(webhook_home: HomeOfTest) -> None:
    clock = FixedClock(datetime.now(UTC))
    async with open_post(webhook_home, clock=clock) as post:
        with receiving() as receiver:
            endpoint = await post.add(receiver.url)
            old = post.secrets[endpoint.id]
            request = RotateSecret(idempotency_key=key(), endpoint_id=endpoint.id, overlap_s=3_600)
            _, new = await post.webhooks.endpoints.rotate(post.context, request)
            assert new is not None
            assert new != old
            assert (await post.webhooks.endpoints.rotate(post.context, request))[1] is None
            await post.happen("payment.created")
            await post.run()
            first = receiver.got[-1]
            assert len(first.headers["webhook-signature"].split(" ")) == 2
            assert first.verified(old) == first.verified(new)
            found = await post.webhooks.endpoints.secrets_of(post.context, [endpoint.id])
            assert [each.last_four for each in found[endpoint.id]] == [new[-4:], old[-4:]]
            clock.advance(timedelta(hours=1, seconds=1))
            await post.happen("payment.captured")
            await post.run()
            second = receiver.got[-1]
            second.verified(new)
            with pytest.raises(WebhookVerificationError):
                second.verified(old)


async def test_two_secrets_are_live_at_most(post: Post) -> None:
    endpoint = await post.add(_URL)
    for _ in range(3):
        request = RotateSecret(idempotency_key=key(), endpoint_id=endpoint.id)
        await post.webhooks.endpoints.rotate(post.context, request)
    found = await post.webhooks.endpoints.secrets_of(post.context, [endpoint.id])
    assert len(found[endpoint.id]) == 2


async def test_a_rotation_without_overlap_ends_the_old_secret_at_once(post: Post) -> None:
    with receiving() as receiver:
        endpoint = await post.add(receiver.url)
        request = RotateSecret(idempotency_key=key(), endpoint_id=endpoint.id, overlap_s=0)
        _, new = await post.webhooks.endpoints.rotate(post.context, request)
        assert new is not None
        await post.happen("payment.created")
        await post.run()
    receiver.got[0].verified(new)
    with pytest.raises(WebhookVerificationError):
        receiver.got[0].verified(post.secrets[endpoint.id])
    with pytest.raises(InputInvalid):
        await post.webhooks.endpoints.rotate(
            post.context,
            RotateSecret(idempotency_key=key(), endpoint_id=endpoint.id, overlap_s=700_000),
        )


async def test_scopes_are_asked_for(post: Post) -> None:
    tenant = post.context
    reader = TenantContext(tenant.tenant_id, "test", "test", frozenset({"webhooks:read"}))
    writer = TenantContext(tenant.tenant_id, "test", "test", frozenset({"webhooks:write"}))
    with pytest.raises(PermissionDenied):
        await post.webhooks.endpoints.create(
            reader, CreateEndpoint(idempotency_key=key(), url=_URL)
        )
    with pytest.raises(PermissionDenied):
        await post.webhooks.endpoints.page(writer, first=1)
