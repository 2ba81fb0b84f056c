"""Is a plugin that does not keep the contract refused with a reason, and nobody else harmed?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from payengine.errors import PluginIncompatible, PluginNotFound
from payengine.plugin import CONTRACT_VERSION, Manifest, PluginSettings, Secret, hookimpl
from payengine.registry import InstalledPlugins, PluginInfo

from tests.core.registry.gateways import GoodGateway, GoodSettings, PluginOf, Stubborn

GOOD = PluginOf(GoodGateway("good"))


class Nested(msgspec.Struct):
    """A class within settings."""

    password: Secret = ""


class NestedSecret(PluginSettings, frozen=True, kw_only=True):
    """A secret where none is looked for."""

    inner: Nested


class ListedSecrets(PluginSettings, frozen=True, kw_only=True):
    """Secrets in a list."""

    keys: tuple[Secret, ...] = ()


def load(**extra: object) -> InstalledPlugins:
    return InstalledPlugins.load(extra=extra, discover=False)


def refusal(source: object) -> str:
    """Why the plugin is refused, beside a good one that must stay ready."""
    plugins = load(bad=source, good=GOOD)
    by_name = {info.name: info for info in plugins.infos}
    assert by_name["good"].status == "ready"
    assert plugins.gateway("good").manifest.title == "Good"
    assert by_name["bad"].status == "refused"
    with pytest.raises(PluginIncompatible) as refused:
        plugins.plugin("bad")
    assert refused.value.message == by_name["bad"].reason
    return by_name["bad"].reason


class _Raises:
    def __init__(self, error: BaseException) -> None:
        self._error = error

    @hookimpl
    def gateways(self) -> Any:
        raise self._error


class _Misspelt:
    @hookimpl
    def gatways(self) -> Any:
        return []


class _Arguments:
    @hookimpl
    def gateways(self, engine: Any) -> Any:
        return []


class _Unrelated:
    """A manifest of another contract, of another shape."""

    contract = "2.0"


class _OtherShape(GoodGateway):
    def describe(self) -> Manifest:
        return _Unrelated()  # type: ignore[return-value]


class _DescribeRaises(GoodGateway):
    def describe(self) -> Manifest:
        raise SystemExit("describe")


class _NoMethods:
    def describe(self) -> Manifest:
        return Manifest(name="bare", title="Bare", version="1")


def test_ready_plugin_tells_what_it_is() -> None:
    assert load(good=GOOD).infos == (
        PluginInfo(
            name="good",
            status="ready",
            version="1.2.3",
            contract=CONTRACT_VERSION,
            title="Good",
            gateways=("good",),
        ),
    )


def test_module_level_hooks_take_no_self() -> None:
    module = ModuleType("my_plugin")

    @hookimpl
    def gateways() -> Any:
        return [GoodGateway("mine")]

    module.gateways = gateways  # type: ignore[attr-defined]
    assert load(mine=module).gateway("mine").plugin == "mine"


@pytest.mark.parametrize(
    ("contract", "says"),
    [
        ("2.0", "written for version 2.0 of the plugin contract"),
        ("0.9", "written for version 0.9"),
        ("one", "contract is 'one'"),
        (1.0, "contract is 1.0"),
        (None, "contract is None"),
    ],
)
def test_another_contract_is_refused_by_its_version(contract: Any, says: str) -> None:
    assert says in refusal(PluginOf(GoodGateway("bad", contract=contract)))


def test_another_contract_is_named_even_where_the_manifest_has_another_shape() -> None:
    assert "written for version 2.0" in refusal(PluginOf(_OtherShape("bad")))


def test_a_later_minor_version_is_taken() -> None:
    major = CONTRACT_VERSION.split(".")[0]
    plugins = load(newer=PluginOf(GoodGateway("newer", contract=f"{major}.99")))
    assert plugins.infos[0].status == "ready"


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "Bad Name", "name is not"),
        ("title", "", "title is not"),
        ("title", "a\x00b", "title is not"),
        ("version", 7, "Expected `str`, got `int` - at `$.version`"),
        ("methods", (), "methods is empty"),
        ("currencies", ("eur",), "currencies contains ['eur']"),
        ("currencies", "EUR", "Expected `array`, got `str` - at `$.currencies`"),
        ("countries", ("Germany",), "countries contains ['Germany']"),
        ("operations", ("capture",), "operations lacks authorize"),
        ("operations", ("authorize", "steal"), "steal"),
        ("operations", ("authorize", "increment"), "operations lists increment"),
        ("movements", True, "movements is set"),
        ("max_concurrency", 0, "max_concurrency is not"),
        ("max_concurrency", True, "Expected `int`, got `bool` - at `$.max_concurrency`"),
        ("key_window_s", -1, "key_window_s is negative"),
        ("key_window_s", 1.5, "Expected `int`, got `float` - at `$.key_window_s`"),
        ("lookup_consistent_after_ms", -1, "lookup_consistent_after_ms is negative"),
        ("pending_for_s", 0, "pending_for_s is not 1 to"),
        ("pending_for_s", 10**9, "pending_for_s is not 1 to"),
        ("settings", dict, "settings is not a subclass of PluginSettings"),
        ("settings", NestedSecret, "Secret inside a list or a nested class"),
        ("settings", ListedSecrets, "Secret inside a list or a nested class"),
    ],
)
def test_malformed_manifest_is_refused(field: str, value: Any, says: str) -> None:
    gateway = GoodGateway("bad")
    gateway.manifest = msgspec.structs.replace(gateway.manifest, **{field: value})
    assert says in refusal(PluginOf(gateway))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (PluginOf(_DescribeRaises("bad")), "SystemExit: describe"),
        (PluginOf(_NoMethods()), "lacks the methods authorize, capture"),  # type: ignore[arg-type]
        (PluginOf(object()), "object has no method describe()"),  # type: ignore[arg-type]
        (_Raises(RuntimeError("boom")), "RuntimeError: boom"),
        (_Raises(SystemExit(3)), "SystemExit: 3"),
        (_Raises(Stubborn("!")), "Stubborn: !"),
        (_Misspelt(), "no hook named gatways"),
        (_Arguments(), "PluginValidationError"),
        (object(), "implements no hook"),
        (PluginOf(GoodGateway("twin"), GoodGateway("twin")), "two gateways named 'twin'"),
        (
            PluginOf(GoodGateway("one"), GoodGateway("two", settings=GoodSettings)),
            "different classes of settings",
        ),
        (PluginOf(*(GoodGateway(f"g{n}") for n in range(51))), "more than 50 gateways"),
    ],
)
def test_broken_plugin_is_refused_and_says_why(source: object, says: str) -> None:
    assert says in refusal(source)


def test_a_gateways_name_belongs_to_the_first() -> None:
    plugins = load(first=PluginOf(GoodGateway("same")), second=PluginOf(GoodGateway("same")))
    assert [info.status for info in plugins.infos] == ["ready", "refused"]
    assert plugins.infos[1].reason == "The gateway 'same' is offered by first already."
    assert plugins.gateway("same").plugin == "first"


def test_unknown_names_are_not_found() -> None:
    plugins = load(good=GOOD)
    with pytest.raises(PluginNotFound):
        plugins.plugin("absent")
    with pytest.raises(PluginNotFound):
        plugins.gateway("absent")


class _Offers:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    @hookimpl
    def commands(self) -> Any:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


def test_commands_of_one_plugin_survive_another_that_raises() -> None:
    plugins = load(bad=_Offers(SystemExit(1)), good=_Offers(["app"]), none=_Offers(None))
    assert plugins.offered("commands") == {"good": ("app",)}
    assert plugins.offered("web") == {}


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Path]:
    """A folder on the import path into which distributions can be laid."""
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("pe_test_")]:
        del sys.modules[name]


def lay(folder: Path, distribution: str, *, plugin: str, code: str) -> None:
    """Install a distribution with one module and one entry point, as a wheel would."""
    module = f"pe_test_{distribution}"
    (folder / f"{module}.py").write_text(code)
    metadata = folder / f"{distribution}-4.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 4.5\n"
    )
    (metadata / "entry_points.txt").write_text(f"[payengine.plugins]\n{plugin} = {module}\n")


_MODULE = """
from payengine.plugin import hookimpl
from tests.core.registry.gateways import GoodGateway

@hookimpl
def gateways():
    return [GoodGateway({name!r})]
"""


def test_entry_points_are_loaded_one_by_one(installed: Path) -> None:
    lay(installed, "aaa", plugin="a-plugin", code=_MODULE.format(name="a"))
    lay(installed, "bbb", plugin="b-plugin", code="import a_module_that_nobody_has")
    lay(installed, "ccc", plugin="c-plugin", code="raise SystemExit('not today')")
    lay(installed, "ddd", plugin="d-plugin", code="def broken(:")
    lay(installed, "eee", plugin="a-plugin", code=_MODULE.format(name="e"))
    plugins = InstalledPlugins.load()
    found = {info.distribution: info for info in plugins.infos}
    assert found["aaa"].status == "ready"
    assert (found["aaa"].name, found["aaa"].version) == ("a-plugin", "4.5")
    assert "ModuleNotFoundError" in found["bbb"].reason
    assert "SystemExit: not today" in found["ccc"].reason
    assert "SyntaxError" in found["ddd"].reason
    assert found["eee"].reason == "Another plugin has its name already: aaa."
    assert plugins.gateway("a").plugin == "a-plugin"


def test_a_plugin_of_another_name_is_not_even_imported(installed: Path) -> None:
    lay(installed, "aaa", plugin="a-plugin", code=_MODULE.format(name="a"))
    lay(installed, "bbb", plugin="b-plugin", code=_MODULE.format(name="b"))
    plugins = InstalledPlugins.load(only="a-plugin")
    assert [info.name for info in plugins.infos] == ["a-plugin"]
    assert "pe_test_bbb" not in sys.modules
