"""What can a plugin find from inside its host? It is told where to look."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from payengine.host.limits import HostLimits

from tests.core.host.houses import House, request_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail is Linux's")


@pytest.fixture
async def secrets(tmp_path: Path) -> Path:
    """A data folder with a master key, as the engine leaves it."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "master.key").write_text("the key of all keys")
    os.chmod(home / "master.key", 0o600)
    return home


@pytest.fixture
async def house(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A host whose import path leads to the data folder, in an environment full of secrets."""
    environment = {
        "PAYENGINE_DATABASE_URL": "postgresql://app:open-sesame@db/pay",
        "PAYENGINE_MASTER_KEY_FILE": str(secrets / "master.key"),
        "PATH": os.environ["PATH"],
        "TZ": "UTC",
    }
    monkeypatch.syspath_prepend(secrets.parent)
    (secrets.parent / ".env").write_text("DATABASE_URL=postgresql://open-sesame@db")
    limits = HostLimits(grace_s=0.3, load_s=240, private=(str(secrets),))
    made = House(limits=limits, environment=environment)
    yield made
    await made.close()


async def found(house: House, *names: str, **given: str) -> list[str]:
    """Which of these the plugin finds."""
    answer = await house.pay(f"look:{'|'.join(names)}")
    assert answer.outcome is not None, answer
    found: list[str] = json.loads(answer.outcome.provider_reference or "")
    return found


async def test_it_says_what_shuts_it_in(house: House) -> None:
    await house.pay("tok")
    parts = house.host.health().jail.split(", ")
    assert set(parts) >= {"calls", "files", "limits"}
    assert ("user" in parts) == (os.geteuid() == 0)


async def test_plugin_can_look_at_all(house: House) -> None:
    assert await found(house, f"file={os.__file__}", "environment=UTC") == ["file", "environment"]


async def test_no_secret_of_the_house_is_in_reach(house: House, secrets: Path) -> None:
    assert await found(house, "environment1=sesame", "environment2=master.key") == []
    assert await found(house, f"file1={secrets / 'master.key'}", "file2=/etc/passwd") == []
    assert await found(house, f"file3={secrets.parent / '.env'}", "file4=/proc/self/status") == []
    assert await found(house, f"process1={os.getpid()}", "process2=self", "process3=1") == []


async def test_nothing_is_written_started_or_signalled(house: House, tmp_path: Path) -> None:
    assert await found(house, f"write1={tmp_path / 'x'}", "write2=/tmp/payengine-was-here") == []
    assert await found(house, "program=/bin/true", f"signal={os.getpid()}", "unix=") == []


async def test_it_holds_the_contract_and_nothing_of_the_engine(house: House) -> None:
    names = ("storage", "vault", "settings", "registry", "payments", "testing")
    modules = (f"module-{name}=payengine.{name}" for name in names)
    assert await found(house, *modules) == []
    assert await found(house, "module=payengine.plugin") == ["module"]


async def test_nothing_of_another_tenant_stays_after_its_call(house: House) -> None:
    # Spelled backwards where it is asked for, so that the question itself is not found.
    secret = "the-secret-of-another-tenant"
    call = house.call_of(api_key=secret)
    assert (await house.gateway.authorize(call, request_of("tok"))).status == "succeeded"
    assert await found(house, f"memory={secret[::-1]}") == []
    own = "key-of-this-tenant"
    assert await found(house, f"memory={own[::-1]}") == ["memory"]
