"""How quick is the database itself?

The wheel's `pgbench` on the same server, in a database of its own, with the frozen script beside
this module.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from payengine.embedded.account import choose_account
from payengine.embedded.programs import postgres_programs

from tests.bench.house import House

__all__ = ["Floor", "tps_of"]

_HERE = Path(__file__).parent
_DATABASE = "floor"


def tps_of(output: str) -> float:
    """Scripts a second, as pgbench tells; raises ValueError where some failed or none ran."""
    failed = re.search(r"number of failed transactions: (\d+)", output)
    found = re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)
    if found is None or (failed is not None and failed[1] != "0"):
        raise ValueError(f"pgbench said:\n{output}")
    return float(found[1])


class Floor:
    """pgbench and psql as the superuser of the embedded server."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._runs = 0
        home = house.servers.home
        self._programs = postgres_programs(
            home / "programs", choose_account(existing=home / "postgres" / "data")
        )

    async def prepare(self) -> None:
        """Make the floor's database and tables."""
        await self._run("psql", "-q", "-d", "postgres", "-c", f"CREATE DATABASE {_DATABASE}")
        schema = str(_HERE / "floor_schema.sql")
        await self._run("psql", "-q", "-d", _DATABASE, "-v", "ON_ERROR_STOP=1", "-f", schema)

    async def rps(self, *, clients: int, seconds: float) -> float:
        """Payments of the floor in a second."""
        return await self._bench(
            "-f", str(_HERE / "floor.sql"), database=_DATABASE, clients=clients, seconds=seconds
        )

    async def own_rps(self, scripts: list[Path], *, clients: int, seconds: float) -> float:
        """How often one of the scripts of our own messages ran in a second, as the app role."""
        self._runs += 1
        return await self._bench(
            *(each for script in scripts for each in ("-f", str(script))),
            *("-D", "ready=0", "-D", "n=0", "-D", f"base={self._runs * 10**12}"),
            database="payengine",
            clients=clients,
            seconds=seconds,
            user="payengine_login",
            options="-c role=payengine_app -c jit=off",
        )

    async def _bench(
        self,
        *arguments: str,
        database: str,
        clients: int,
        seconds: float,
        user: str = "postgres",
        options: str = "",
    ) -> float:
        said = await self._run(
            "pgbench",
            *("-n", "-M", "simple", "-c", str(clients), "-j", str(min(clients, 2))),
            *("-T", str(max(round(seconds), 1)), *arguments, database),
            user=user,
            options=options,
        )
        return tps_of(said)

    async def _run(
        self, program: str, *arguments: str, user: str = "postgres", options: str = ""
    ) -> str:
        process = await asyncio.create_subprocess_exec(
            self._programs / program,
            *arguments,
            env={
                **os.environ,
                "PGHOST": self._house.socket_folder,
                "PGPORT": "5432",
                "PGUSER": user,
                "PGPASSWORD": self._house.passwords[user],
                "PGOPTIONS": options,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, problem = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"{program} failed: {problem.decode()}")
        return said.decode()
