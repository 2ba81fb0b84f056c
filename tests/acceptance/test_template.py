"""From an empty folder to a paying plugin of a stranger's: does the template get there?

It is rendered, checked and built; its wheel and core's go into a clean environment where its own
tests run; then it is installed beside a server, which runs it in a plugin host.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from payengine.embedded import stop_all
from payengine.settings import Settings

from tests.acceptance.programs import new_key, serving
from tests.doc_pages import ROOT, blocks
from tests.servers import temporary_home
from tests.template import rendered

_ENABLE = """
    mutation ($input: ConfigurePluginInput!) {
        configurePlugin(input: $input) { plugin { name enabled } errors { code message } }
    }
"""
_PAY = """
    mutation ($input: CreatePaymentInput!) {
        createPayment(input: $input) {
            payment { id status attempts { gateway } }
            errors { code message }
        }
    }
"""
_HOST = "{ plugins { name place host { state deaths jail } } }"


def _run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """The program's output; fails where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAYENGINE")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
    return done.stdout


def _built(project: Path, folder: Path) -> Path:
    """The wheel of a project, built without a network."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=project)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Birch Pay, as its author finds it after answering the questions."""
    folder = tmp_path_factory.mktemp("birch") / "payengine-birch"
    return rendered(folder, name="birch", title="Birch Pay", currencies="EUR")


@pytest.fixture(scope="module")
def wheel(plugin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its wheel."""
    return _built(plugin, tmp_path_factory.mktemp("wheel"))


def _clean_environment(folder: Path, *wheels: Path) -> Path:
    """A Python with these wheels and pytest; skipped, aloud, where no registry can be reached."""
    uv = Path(sys.executable).with_name("uv")
    python = folder / "bin" / "python"
    _run(uv, "venv", "--quiet", "--python", sys.executable, folder, cwd=folder.parent)
    done = subprocess.run(
        [
            str(uv),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(python),
            *map(str, wheels),
            "pytest",
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode != 0:
        pytest.skip(f"no package registry can be reached: {done.stderr.strip()[-300:]}")
    return python


def test_its_own_tests_and_the_check_pass_in_a_clean_environment(
    plugin: Path, wheel: Path, tmp_path: Path
) -> None:
    core = _built(ROOT / "core", tmp_path / "core")
    python = _clean_environment(tmp_path / "venv", core, wheel)
    said = _run(python, "-m", "pytest", "-v", "-p", "no:cacheprovider", cwd=plugin)
    assert " passed" in said
    report = tmp_path / "birch.json"
    program = python.with_name("payengine")
    said = _run(program, "plugins", "check", "birch", "--report", report, cwd=tmp_path)
    assert "keeps the contract" in said
    certificate = msgspec.json.decode(report.read_bytes())
    assert certificate["ok"]
    assert certificate["plugin"]["distribution"] == "payengine-birch"
    assert [rule["rule"] for rule in certificate["rules"]] == ["birch_busy_device"]
    assert report.with_suffix(".md").read_text().startswith("# Birch Pay keeps the contract")


def test_plugin_of_the_tutorial_keeps_the_contract(tmp_path: Path) -> None:
    page = ROOT / "docs" / "tutorials" / "first-plugin.md"
    project = tmp_path / "payengine-hazel"
    project.mkdir()
    (project / "pyproject.toml").write_text(blocks("toml", page=page)[0].text)
    gateway, rule, *_ = blocks("python", page=page)
    (project / "payengine_hazel.py").write_text(gateway.text + rule.text)
    made, site = _built(project, tmp_path / "wheel"), tmp_path / "site"
    uv, program = (Path(sys.executable).with_name(name) for name in ("uv", "payengine"))
    _run(uv, "pip", "install", "--no-deps", "--quiet", "--target", site, made, cwd=tmp_path)
    said = _run(program, "plugins", "check", "hazel", cwd=tmp_path, PYTHONPATH=str(site))
    assert " 0 failed" in said
    assert "in a plugin host" in said
    assert "Fraud rule hazel_patience" in said


async def test_it_takes_a_payment_in_a_plugin_host(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    uv = Path(sys.executable).with_name("uv")
    _run(uv, "pip", "install", "--no-deps", "--quiet", "--target", site, wheel, cwd=tmp_path)
    with temporary_home() as home:
        async with serving(home, PYTHONPATH=str(site)) as server:
            key = (await server.tenant())["api_key"]
            given = {
                "idempotencyKey": new_key(),
                "plugin": "birch",
                "enabled": True,
                "settings": {"api_key": "test-key-1234567890", "webhook_secret": "shh-1234"},
            }
            data = await server.ask(key, _ENABLE, input=given)
            assert data["configurePlugin"]["errors"] == []
            paying = {
                "idempotencyKey": new_key(),
                "amount": {"amountMinor": 500, "currency": "EUR"},
                "paymentMethod": {"token": "card_good"},
            }
            data = await server.ask(key, _PAY, input=paying)
            assert data["createPayment"]["errors"] == []
            payment = data["createPayment"]["payment"]
            assert payment["status"] == "CAPTURED"
            assert [attempt["gateway"] for attempt in payment["attempts"]] == ["birch"]
            plugins = (await server.ask(key, _HOST))["plugins"]
            (birch,) = [one for one in plugins if one["name"] == "birch"]
            assert birch["place"] == "host"
            assert birch["host"]["state"] == "running"
            assert "limits" in birch["host"]["jail"]
            (own,) = [one for one in plugins if one["name"] == "sandbox"]
            assert (own["place"], own["host"]) == ("process", None)
            await server.program.ended(signal.SIGINT)
        await stop_all(Settings.from_environment({}, home=home))
