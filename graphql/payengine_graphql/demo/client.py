"""How does somebody outside talk to the API?

A client as any tenant would write it: HTTP, an API key, GraphQL documents.
"""

from __future__ import annotations

from typing import Any

import httpx
from payengine.errors import EnvironmentProblem

__all__ = ["Client"]

_TIMEOUT_S = 30.0


class Client:
    """One server, over a bounded number of kept connections."""

    def __init__(self, url: str, *, connections: int) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=_TIMEOUT_S,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def ask(self, key: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Run a document; raises `EnvironmentProblem` where the server is away or refuses."""
        try:
            response = await self._http.post(
                "/graphql",
                json={"query": query, "variables": variables},
                headers={"authorization": f"Bearer {key}"},
            )
        except httpx.ConnectError:
            raise EnvironmentProblem(
                f"No server answers at {self._http.base_url}. Start one with `make run` or "
                "`payengine serve`, or name it with --url."
            ) from None
        body = response.json()
        if "errors" in body:
            raise EnvironmentProblem(f"The server refused: {body['errors'][0]['message']}")
        data: dict[str, Any] = body["data"]
        return data
