"""May this process be asked?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from payengine.engine import Engine
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

__all__ = ["Health"]

_PATIENCE_S = 2.0
#: The relay looks every second; after this long it is taken for dead.
_RELAY_SILENCE = timedelta(seconds=15)


class Health:
    """The handlers of `/healthz` and `/readyz`."""

    def __init__(self, engine: Engine, *, expects_relay: bool) -> None:
        """`expects_relay`: this process runs the relay itself."""
        self._engine = engine
        self._expects_relay = expects_relay
        self._since = datetime.now(UTC)

    async def live(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """The database answers and is migrated, and the relay is at work; 503 otherwise."""
        checks = {
            "database": await self._database_answers(),
            "relay": not self._expects_relay or self._relay_works(),
        }
        is_ready = all(checks.values())
        words = {name: "ok" if well else "failing" for name, well in checks.items()}
        return JSONResponse(
            {"status": "ok" if is_ready else "unavailable", "checks": words},
            status_code=200 if is_ready else 503,
        )

    async def _database_answers(self) -> bool:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                async with self._engine.database.worker() as session:
                    found = await session.fetchval("SELECT count(*) FROM installation")
        except Exception:
            return False
        return bool(found)

    def _relay_works(self) -> bool:
        seen = self._engine.background.relay_seen_at or self._since
        return datetime.now(UTC) - seen < _RELAY_SILENCE
