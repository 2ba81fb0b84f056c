"""The operator's commands, as processes of their own beside running servers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from typing import Any

from payengine.settings import Settings
from payengine.storage import Database
from payengine_tenants import ApiKeys

from tests.conftest import Servers
from tests.servers import HomeOfTest, temporary_home

_PROGRAM = "from payengine_tenants.cli import app; app()"


async def run(servers: Servers | HomeOfTest, *arguments: str) -> tuple[int, list[str], str]:
    """Run `payengine tenant …`; returns the exit code, the lines and the complaints."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PROGRAM,
        *arguments,
        env={**kept, "PAYENGINE_HOME": str(servers.home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode().splitlines(), complaints.decode()


async def run_json(servers: Servers | HomeOfTest, *arguments: str) -> list[dict[str, Any]]:
    code, lines, complaints = await run(servers, *arguments, "--json")
    assert code == 0, complaints
    return [json.loads(line) for line in lines]


async def test_a_tenant_and_its_keys_from_the_command_line(
    servers: Servers, database: Database
) -> None:
    [made] = await run_json(servers, "create", "Ada's shop")
    assert set(made) == {"tenant_id", "api_key"}
    context = await ApiKeys(database).authenticate(made["api_key"])
    assert context.tenant_id == uuid.UUID(made["tenant_id"])
    assert context.mode == "test"
    listed = {tenant["id"]: tenant for tenant in await run_json(servers, "list")}
    assert listed[made["tenant_id"]]["name"] == "Ada's shop"

    [second] = await run_json(
        servers, "key", "create", made["tenant_id"], "--scope", "events:read", "--name", "reader"
    )
    reader = await ApiKeys(database).authenticate(second["api_key"])
    assert reader.scopes == {"events:read"}
    assert {key["id"] for key in await run_json(servers, "key", "list", made["tenant_id"])} == {
        context.actor,
        second["key_id"],
    }
    [revoked] = await run_json(servers, "key", "revoke", made["tenant_id"], second["key_id"])
    assert revoked["revoked_at"] is not None


async def test_people_read_the_key_once(servers: Servers, database: Database) -> None:
    code, lines, complaints = await run(servers, "create", "A live one", "--mode", "live")
    assert code == 0, complaints
    secret = next(line.split()[-1] for line in lines if line.startswith("API key"))
    context = await ApiKeys(database).authenticate(secret)
    assert context.mode == "live"
    code, lines, _ = await run(servers, "key", "list", str(context.tenant_id))
    assert code == 0
    assert "live" in lines[0]
    assert secret not in lines[0]


async def test_an_unknown_tenant_is_told(servers: Servers) -> None:
    code, lines, complaints = await run(servers, "key", "list", str(uuid.uuid4()))
    assert code != 0
    assert lines == []
    assert "There is no tenant with this id." in complaints


async def test_the_commands_bring_up_the_servers_that_they_need() -> None:
    with temporary_home() as home:
        alone = HomeOfTest(Settings(home=home), home, "", "", None)
        [made] = await run_json(alone, "create", "First")
        [listed] = await run_json(alone, "list")
        assert listed["id"] == made["tenant_id"]
        assert not list(home.glob("postgres/data/postmaster.pid"))
