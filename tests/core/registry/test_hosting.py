"""Whose code runs in this process, and whose does not?"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from payengine.registry import Hosting, InstalledPlugins
from payengine.settings import Settings

from tests.doc_pages import ROOT

_MODULE = """
from payengine.plugin import hookimpl
from tests.core.registry.gateways import GoodGateway

@hookimpl
def gateways():
    return [GoodGateway("kept")]

@hookimpl
def commands():
    return ["a command"]
"""


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[str]:
    """The name of a distribution that was installed here by somebody."""
    (tmp_path / "pe_stranger.py").write_text(_MODULE)
    metadata = tmp_path / "Some_Stranger-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: Some.Stranger\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[payengine.plugins]\nkept = pe_stranger\n")
    sys.path.insert(0, str(tmp_path))
    yield "Some.Stranger"
    sys.path.remove(str(tmp_path))
    sys.modules.pop("pe_stranger", None)


def test_strangers_code_is_never_imported_here(stranger: str) -> None:
    plugins = InstalledPlugins.load(only="kept")
    assert plugins.plugin("kept").info.place == "host"
    assert plugins.gateway("kept").manifest.title
    assert "pe_stranger" not in sys.modules
    assert plugins.offered("commands") == {}


@pytest.mark.parametrize("name", ["some-stranger", "Some_Stranger", "some.STRANGER"])
def test_trusted_one_runs_here(stranger: str, name: str) -> None:
    settings = Settings.from_environment({"PAYENGINE_TRUSTED_PLUGINS": f"other, {name}"})
    plugins = InstalledPlugins.load(only="kept", hosting=Hosting.from_settings(settings))
    assert plugins.plugin("kept").info.place == "process"
    assert "pe_stranger" in sys.modules


def test_without_strangers_no_host_is_started(stranger: str) -> None:
    plugins = InstalledPlugins.load(only="kept", strangers=False)
    assert plugins.infos == ()


def test_list_of_our_own_is_the_workspaces() -> None:
    members = {
        tomllib.loads(page.read_text())["project"]["name"]
        for page in (ROOT / "plugins").glob("*/pyproject.toml")
    }
    assert members
    assert all(Hosting().is_trusted(name) for name in members)
    listed = (ROOT / "plugins" / "built-in.txt").read_text().splitlines()
    assert {line for line in listed if line and not line.startswith("#")} == members


@pytest.mark.parametrize("name", ["", "payengine", "payengine-stripes", "my-payengine-sandbox"])
def test_a_similar_name_is_a_strangers(name: str) -> None:
    assert not Hosting().is_trusted(name)


def test_data_folder_and_master_key_are_private() -> None:
    settings = Settings.from_environment({}, home="/nowhere", plugin_memory_mb=99)
    limits = Hosting.from_settings(settings).limits
    assert limits.private == ("/nowhere", "/nowhere/master.key")
    assert limits.memory_mb == 99
