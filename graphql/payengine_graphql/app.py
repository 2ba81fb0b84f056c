"""What is served?

`create_app` puts the handlers together; it starts nothing before the first request.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from payengine.engine import Engine
from payengine.errors import NotFound
from payengine.settings import Settings
from payengine_tenants.keys import ApiKeys
from payengine_tenants.tenants import Tenants
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from payengine_graphql.answers import error_answer
from payengine_graphql.bulkhead import Bulkhead
from payengine_graphql.connections import Connections
from payengine_graphql.context import Services
from payengine_graphql.disputes.uploads import EvidenceUploads
from payengine_graphql.endpoint import HttpEndpoint
from payengine_graphql.execution import Executor
from payengine_graphql.health import Health
from payengine_graphql.invoices.papers import InvoicePapers
from payengine_graphql.live import LiveQueries
from payengine_graphql.metrics import Metrics
from payengine_graphql.once import Once
from payengine_graphql.perimeter import Perimeter
from payengine_graphql.recovery.routes import RecoveryPages
from payengine_graphql.schema import core_schema
from payengine_graphql.sockets import Sockets
from payengine_graphql.sse import EventStreams
from payengine_graphql.transport import HttpProtocol, SocketProtocol
from payengine_graphql.webhooks_in import WebhookRoutes

__all__ = ["UVICORN_LIMITS", "create_app"]

#: Options that `uvicorn.Config` must be given: the frame cap, keep-alive pings and no banner.
UVICORN_LIMITS: dict[str, object] = {
    "http": HttpProtocol,
    "ws": SocketProtocol,
    "ws_max_size": 64 * 1024,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    "ws_per_message_deflate": False,
    "h11_max_incomplete_event_size": 32 * 1024,
    "timeout_keep_alive": 30,
    "timeout_graceful_shutdown": 25,
    "server_header": False,
    # Nothing here asks who the client is; a proxy in front says its own address at most.
    "proxy_headers": False,
    "access_log": False,
}

_IN_FLIGHT = 256
_IN_FLIGHT_OF_TENANT = 128
_DRAIN_S = 20.0


def create_app(engine: Engine, settings: Settings, *, expects_relay: bool = True) -> ASGIApp:
    """The application on an open engine; `expects_relay`: the engine runs its background loops."""
    metrics = Metrics(engine)
    services = Services(
        engine=engine,
        keys=ApiKeys(engine.database),
        tenants=Tenants(engine.database),
        once=Once(engine.database),
        count=metrics.count_mutation,
        count_operation=metrics.count_operation,
    )
    executor = Executor(
        core_schema(),
        is_development=settings.is_development,
        # Two tries at a gateway and the writing around them.
        mutation_deadline_s=2 * settings.gateway_deadline_ms / 1000 + 4,
    )
    connections = Connections(services, metrics)
    queries = LiveQueries(engine.feed, engine.events)
    metrics.live_queries.set_function(lambda: len(queries))
    endpoint = HttpEndpoint(
        services,
        executor,
        Bulkhead(in_all=_IN_FLIGHT, per_tenant=_IN_FLIGHT_OF_TENANT),
        EventStreams(executor, metrics, connections, queries),
        has_page=settings.is_development,
    )
    sockets = Sockets(services, executor, metrics, connections, queries)
    health = Health(engine, expects_relay=expects_relay)

    async def show_metrics(request: Request) -> Response:
        await metrics.look(at=datetime.now(UTC))
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await connections.close()
        await executor.drain(timeout_s=_DRAIN_S)

    shows_timings = _shows_timings(settings)
    rest = Starlette(
        routes=[
            WebSocketRoute("/graphql", sockets.handle),
            Route("/healthz", health.live),
            Route("/readyz", health.ready),
            Route("/metrics", show_metrics),
            *WebhookRoutes(engine, count=metrics.count_webhook_in).routes(),
            *EvidenceUploads(engine, services.keys).routes(),
            *InvoicePapers(engine, services.keys).routes(),
            *RecoveryPages(engine).routes(),
            *_plugin_pages(engine),
        ],
        middleware=[Middleware(Perimeter, metrics=metrics, shows_timings=shows_timings)],
        exception_handlers={404: _not_found},
        lifespan=lifespan,
    )
    graphql = Perimeter(endpoint, metrics, shows_timings=shows_timings)

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        """GraphQL has a short way in: Starlette's own would cost it half as much again."""
        if scope["type"] == "http" and scope["path"] == "/graphql":
            await graphql(scope, receive, send)
        else:
            await rest(scope, receive, send)

    return front


def _shows_timings(settings: Settings) -> bool:
    """To a stranger, the time that a gateway took tells too much."""
    return settings.is_development or os.environ.get("PAYENGINE_TIMINGS") == "1"


def _plugin_pages(engine: Engine) -> list[Mount]:
    """What plugins show to people, each below its own path."""
    offered = engine.registry.installed.offered("web")
    return [Mount(f"/plugins/{name}", routes=list(routes)) for name, routes in offered.items()]


async def _not_found(request: Request, error: Exception) -> Response:
    body = error_answer(NotFound("There is nothing at this address; GraphQL is at /graphql."))
    return Response(body, 404, media_type="application/json")
