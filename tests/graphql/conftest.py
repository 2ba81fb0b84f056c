"""A real server on a free port, and tenants that talk to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from payengine.engine import Engine, open_engine
from payengine.settings import Settings
from payengine_graphql.app import UVICORN_LIMITS, create_app

from tests.conftest import Servers
from tests.graphql.worlds import World, make_world


@asynccontextmanager
async def serving(engine: Engine, settings: Settings) -> AsyncIterator[str]:
    """The address of a server that runs until the block ends."""
    config = uvicorn.Config(
        create_app(engine, settings),
        host="127.0.0.1",
        port=0,
        log_level="warning",
        **UVICORN_LIMITS,  # type: ignore[arg-type]
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        assert not task.done(), task.exception()
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@pytest.fixture(scope="session")
def settings(servers: Servers) -> Settings:
    """The test session's settings, in development mode."""
    return Settings.from_environment({}, home=servers.home, pool_size=8)


@pytest.fixture(scope="session")
async def engine(servers: Servers, settings: Settings) -> AsyncIterator[Engine]:
    """The engine with its loops."""
    async with open_engine(settings, login_url=servers.login_url) as opened:
        yield opened


@pytest.fixture(scope="session")
async def url(engine: Engine, settings: Settings) -> AsyncIterator[str]:
    """The address of a server in development mode."""
    async with serving(engine, settings) as address:
        yield address


@pytest.fixture(scope="session")
async def production_url(engine: Engine, settings: Settings) -> AsyncIterator[str]:
    """The address of a server in production mode on the same engine."""
    production = Settings.from_environment({}, home=settings.home, mode="production")
    async with serving(engine, production) as address:
        yield address


@pytest.fixture(scope="session")
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server in development mode."""
    async with httpx.AsyncClient(base_url=url, timeout=120) as opened:
        yield opened


@pytest.fixture
async def world(engine: Engine, client: httpx.AsyncClient) -> World:
    """A fresh tenant whose key has all scopes."""
    return await make_world(engine, client)


@pytest.fixture
async def foreign(engine: Engine, client: httpx.AsyncClient) -> World:
    """Another tenant."""
    return await make_world(engine, client)
