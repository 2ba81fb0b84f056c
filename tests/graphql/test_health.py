"""May this process be asked?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
from payengine.engine import open_engine
from payengine.settings import Settings
from payengine_graphql.app import create_app

from tests.conftest import Servers


async def test_a_serving_process_is_alive_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"database": "ok", "relay": "ok"}


async def test_a_process_whose_database_is_gone_is_not_ready(
    servers: Servers, settings: Settings
) -> None:
    async with open_engine(settings, login_url=servers.login_url, background=False) as engine:
        app = create_app(engine, settings, expects_relay=False)
    # The engine is closed here: its pools refuse.
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as there:
        assert (await there.get("/healthz")).status_code == 200
        ready = await there.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] == "failing"


async def test_a_process_whose_relay_is_silent_is_not_ready(
    servers: Servers, settings: Settings
) -> None:
    async with open_engine(settings, login_url=servers.login_url, background=False) as engine:
        app = create_app(engine, settings)
        engine.background.relay_seen_at = datetime.now(UTC) - timedelta(minutes=5)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as there:
            ready = await there.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["relay"] == "failing"
