"""Is what the documentation says true?

Snippets run, commands parse, documents fit the schema, links lead somewhere, and lists name what is
there: no more and no less.
"""

from __future__ import annotations

import ast
import asyncio
import functools
import itertools
import json
import re
import subprocess
import sys
import time
import tomllib
import typing
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from payengine.context import SCOPES
from payengine.engine import Engine, open_engine
from payengine.ids import PREFIXES
from payengine.marketplace.accounts import OnboardingStatus
from payengine.marketplace.sharing_models import Phase
from payengine.payments.models import OperationKind
from payengine.settings import Settings

from graphql import GraphQLSchema, build_schema, parse, validate
from tests.conftest import Servers
from tests.doc_pages import ROOT, Block, anchors, blocks, commands, documents_of, links, pages
from tests.graphql.conftest import serving
from tests.graphql.worlds import World, make_world
from tests.servers import migrated_home
from tests.template import rendered

DOCS = ROOT / "docs"
_SHELL = ("sh", "bash")
_PATIENCE_S = 60.0
_ID = re.compile(r'"id": "(([a-z]+)_\w+)"')


# -- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_index_leads_to_every_page() -> None:
    reached = {(DOCS / link).resolve() for link in links(DOCS / "index.md")}
    own = {page for page in DOCS.rglob("*.md") if "errors" not in page.parts} - {DOCS / "index.md"}
    assert own - reached == set()


def test_blocks_say_their_language() -> None:
    assert [str(block) for block in blocks() if not block.language] == []


def test_decisions_are_numbered_and_short() -> None:
    found = sorted((DOCS / "decisions").glob("*.md"))
    assert [page.name[:4] for page in found] == [f"{n:04}" for n in range(1, len(found) + 1)]
    for page in found:
        lines = page.read_text().splitlines()
        assert len(lines) <= 40, page.name
        assert lines[0].startswith(f"# {page.name[:4]}. "), page.name


def test_picture_is_well_formed_and_minds_the_dark() -> None:
    for picture in (DOCS / "images").glob("*.svg"):
        ElementTree.parse(picture)
        assert "prefers-color-scheme: dark" in picture.read_text()


# -- snippets --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def acorn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin of the tutorial, as the template makes it."""
    return rendered(tmp_path_factory.mktemp("acorn"))


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_runs(block: Block, acorn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = compile(block.text, str(block), "exec", dont_inherit=True)
    if not block.note.startswith("not run"):
        monkeypatch.syspath_prepend(acorn)
        exec(code, vars(ModuleType("shown")))


@pytest.mark.parametrize("block", blocks("json", "toml"), ids=str)
def test_data_can_be_read(block: Block) -> None:
    if block.language == "json":
        json.loads(block.text)
    else:
        tomllib.loads(block.text)


_PARSE = """
import json, sys
from cyclopts.exceptions import CycloptsError
from payengine.cli import _add_commands, app
_add_commands(None)
def leaves(app, path):
    names = [name for name in app if not name.startswith("-")]
    if not names:
        arguments = app.assemble_argument_collection(parse_docstring=False)
        named = [each for each in arguments if each.field_info.kind == each.field_info.KEYWORD_ONLY]
        yield path, [name for argument in named for name in argument.names[:1]]
    for name in names:
        yield from leaves(app[name], [*path, name])
def problem(words):
    try:
        app.parse_args(words, print_error=False, exit_on_error=False)
    except CycloptsError as refused:
        return str(refused) or type(refused).__name__
print(json.dumps({
    "problems": [problem(words) for words in json.load(sys.stdin)],
    "leaves": list(leaves(app, [])),
}))
"""


def parsed(lines: list[list[str]]) -> dict[str, Any]:
    """What the program makes of these command lines, and which commands it has."""
    done = subprocess.run(
        [sys.executable, "-c", _PARSE], input=json.dumps(lines), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_commands_are_understood() -> None:
    shown = [
        (str(block), words[1:])
        for block in blocks(*_SHELL)
        for words in commands(block)
        if words and words[0].rpartition("/")[2] == "payengine"
    ]
    assert len(shown) > 20
    problems = parsed([words for _, words in shown])["problems"]
    refused = [(*line, problem) for line, problem in zip(shown, problems, strict=True) if problem]
    assert refused == []


def test_a_wrong_command_would_be_noticed() -> None:
    lines = [["serve", "--prot", "1"], ["servve"], ["tenant", "create"], ["demo", "--count", "x"]]
    assert all(parsed(lines)["problems"])


def test_reference_names_every_command_and_option() -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    for path, options in parsed([])["leaves"]:
        command = "payengine " + " ".join(path)
        assert command in page, command
        for option in options:
            assert not option.startswith("--") or f"`{option}" in page, (command, option)


def test_make_has_the_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        words[1] for block in blocks(*_SHELL) for words in commands(block) if words[:1] == ["make"]
    }
    assert {"run", "test"} <= shown <= targets


@functools.cache
def the_schema() -> GraphQLSchema:
    """The snapshot of the schema; to read it takes half a second."""
    return build_schema((ROOT / "graphql" / "schema.graphql").read_text())


@pytest.mark.parametrize("block", blocks("graphql", *_SHELL), ids=str)
def test_documents_fit_the_schema(block: Block) -> None:
    for document in documents_of(block):
        assert validate(the_schema(), parse(document)) == []


def test_reference_names_every_field_and_scope() -> None:
    page = (DOCS / "reference" / "graphql.md").read_text()
    schema = the_schema()
    roots = (schema.query_type, schema.mutation_type, schema.subscription_type)
    names = {name for root in roots if root for name in root.fields} | set(SCOPES)
    assert {name for name in names if f"`{name}`" not in page} == set()


# -- lists -----------------------------------------------------------------------------------------


def rows(page: str, *, until: str = "\0") -> dict[str, list[str]]:
    """The rows of a page's tables by their first cell, backticks taken off."""
    text = (DOCS / page).read_text().partition(until)[0]
    cells = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("|--")
    ]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_settings_are_all_named() -> None:
    named = rows("reference/settings.md", until="## For clients")
    fields = Settings.__struct_fields__
    assert named.keys() - {"variable"} == {f"PAYENGINE_{field.upper()}" for field in fields}
    bare = Settings.from_environment({}, home=Path("/nowhere"))
    for field in ("host", "port", "mode", "gateway_deadline_ms", "pool_size"):
        assert named[f"PAYENGINE_{field.upper()}"][0] == f"`{getattr(bare, field)}`"


def event_types() -> set[str]:
    """The types that the rooms write."""
    found = {
        node.value
        for room in ("payments", "fraud")
        for path in (ROOT / "core/payengine" / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"(payment|refund|dispute|fraud)\.[a-z_]+", node.value)
    }
    found |= market_event_types() | billing_event_types() | payout_event_types()
    core = ROOT / "core/payengine"
    told = [core / "fx/store.py", *(core / "settlements").glob("*.py")]
    for path in told:
        found |= set(re.findall(r'type="((?:fx|settlement)\.[a-z_]+)"', path.read_text()))
    lanes = (ROOT / "core/payengine/webhooks/lanes.py").read_text()
    found |= set(re.findall(r'"(webhook_endpoint\.[a-z_]+)"', lanes))
    steps = ("capture", "increment", "void")
    found |= {f"payment.{step}_requested" for step in steps}
    return found | {f"payment.{step}.pending" for step in steps} | {"refund.pending"}


def market_event_types() -> set[str]:
    """The types of accounts, splits and escrows: some are named by a state."""
    noun = r"(connected_account|split|split_rule|escrow|reserve|account_transfer)\.[a-z_]+"
    found = {
        node.value
        for path in (ROOT / "core/payengine/marketplace").glob("*.py")
        if path.name != "postings.py"  # there, kinds of ledger transactions have such names
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(noun, node.value)
    }
    found |= {f"connected_account.{state}" for state in typing.get_args(OnboardingStatus)}
    found |= {f"split.{phase}" for phase in typing.get_args(Phase)}
    return found | {f"escrow.{state}" for state in ("held", "released", "refunded")}


def billing_event_types() -> set[str]:
    """The types that billing writes of subscriptions and invoices."""
    room = ROOT / "core/payengine/billing"
    sources = "".join(path.read_text() for path in room.rglob("*.py"))
    noun = "subscription|invoice|entitlement|credit_note|customer_balance"
    # In single quotes where it stands in a statement; "invoice.typ" is a file.
    found = set(re.findall(rf"""["']((?:{noun})\.[a-z_]+)["']""", sources))
    return found - {"invoice.typ"}


def payout_event_types() -> set[str]:
    """The types that the treasury writes."""
    room = ROOT / "core/payengine/marketplace/treasury"
    sources = "".join(path.read_text() for path in room.glob("*.py"))
    return set(re.findall(r'"(payout(?:_hold)?\.[a-z_]+)"', sources))


def test_events_are_all_named() -> None:
    named = {name for name in rows("reference/events.md") if "." in name}
    assert named == event_types()


def test_glossary_has_the_nouns() -> None:
    terms = {
        term.strip().lower()
        for first in rows("glossary.md", until="## Not used")
        for term in first.split(",")
    }
    nouns = {kind.partition(".")[0].replace("_", " ") for kind in event_types()}
    assert nouns <= terms
    assert {noun.lower() for noun in PREFIXES.values()} <= terms
    assert set(typing.get_args(OperationKind)) <= terms


def test_checks_of_verify_are_all_named() -> None:
    tree = ast.parse((ROOT / "core/payengine/invariants/checker.py").read_text())
    checks = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_add"
        and isinstance(node.args[0], ast.Constant)
    }
    assert checks
    assert checks <= rows("how-to/operate.md").keys()


def test_dependencies_have_their_reasons() -> None:
    members = [*ROOT.glob("[a-z]*/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")]
    declared: set[str] = set()
    for member in members:
        declared |= set(tomllib.loads(member.read_text())["project"]["dependencies"])
    declared |= set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    )
    names = {re.split(r"[\[;<>=! ]", line)[0] for line in declared}
    own = {name for name in names if name.startswith("payengine")}
    assert rows("dependencies.md").keys() - {"library"} == names - own


# -- against a server ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def house(servers: Servers) -> AsyncIterator[tuple[Engine, httpx.AsyncClient]]:
    """A running server whose gateways must answer soon, on a database that no other one serves."""
    async with (
        migrated_home(gateway_deadline_ms=1_000) as home,
        open_engine(home.settings, login_url=home.login_url) as engine,
        serving(engine, engine.settings) as url,
        httpx.AsyncClient(base_url=url, timeout=120) as client,
    ):
        yield engine, client


@pytest.fixture(scope="module")
async def shop(house: tuple[Engine, httpx.AsyncClient]) -> World:
    """A fresh shop there."""
    return await make_world(*house)


def agrees(shown: Any, got: Any) -> bool:
    """Whether the answer is the one that is shown; a text that ends in … stands for any."""
    if isinstance(shown, str) and shown.endswith("…"):
        return isinstance(got, str) and got.startswith(shown[:-1])
    if isinstance(shown, dict) and isinstance(got, dict):
        return shown.keys() == got.keys() and all(agrees(shown[key], got[key]) for key in shown)
    if isinstance(shown, list) and isinstance(got, list):
        return len(shown) == len(got) and all(map(agrees, shown, got))
    return bool(shown == got)


def _named(document: str, ids: dict[str, str]) -> str:
    for shown, whole in ids.items():
        document = re.sub(rf"\b{shown}", whole, document)
    return document


async def play(shop: World, page: Path) -> int:
    """Send the page's documents in their order; each answer must agree with the block below it.

    An id that ends in … stands for the last one of its kind that was answered.
    """
    shown = blocks(page=page)
    played = 0
    ids: dict[str, str] = {}
    for block, below in itertools.pairwise(shown):
        if below.language != "json" or not documents_of(block):
            continue
        (document,) = documents_of(block)
        wanted = json.loads(below.text)
        ends = time.monotonic() + (_PATIENCE_S if block.note.startswith("wait") else 0)
        while True:
            answer = await shop.ask(_named(document, ids))
            got = answer["data"] if block.language == "graphql" else answer
            if agrees(wanted, got) or time.monotonic() > ends:
                break
            await asyncio.sleep(0.2)
        assert agrees(wanted, got), f"{block}: {got}"
        ids |= {f"{kind}_…": whole for whole, kind in _ID.findall(json.dumps(got))}
        played += 1
    return played


async def test_tutorial_goes_as_it_says(shop: World) -> None:
    assert await play(shop, DOCS / "tutorials" / "first-payment.md") == 11


@pytest.mark.parametrize(
    ("page", "steps"),
    [
        ("tutorials/first-subscription.md", 10),
        ("tutorials/first-marketplace.md", 10),
        ("how-to/bill-by-usage.md", 5),
        ("how-to/exchange-currencies.md", 4),
        ("how-to/recover-failed-payments.md", 2),
        ("how-to/settle-provider-reports.md", 4),
    ],
)
async def test_page_goes_as_it_says(
    house: tuple[Engine, httpx.AsyncClient], page: str, steps: int
) -> None:
    assert await play(await make_world(*house), DOCS / page) == steps


async def test_readme_goes_as_it_says(shop: World) -> None:
    client = World(shop.context, shop.secret, shop.client, shop.url)
    again = Path(ROOT / "README.md")
    # "order-1" is taken by the tutorial's payment of the same input, and so answers with it.
    assert await play(client, again) == 1


async def test_client_of_the_live_feed_runs(shop: World) -> None:
    (block,) = blocks("python", page=DOCS / "reference" / "events.md")
    module = ModuleType("shown")
    exec(compile(block.text, str(block), "exec", dont_inherit=True), vars(module))
    begin = (await shop.run("{ events(first: 100) { pageInfo { endCursor } } }"))["events"]
    following = asyncio.create_task(
        module.follow(
            shop.url.replace("http", "ws", 1) + "/graphql",
            shop.secret,
            begin["pageInfo"]["endCursor"],
            2,
        )
    )
    await shop.pay()
    assert await asyncio.wait_for(following, 60) == ["payment.created", "payment.captured"]


@pytest.mark.parametrize(
    ("shown", "got"),
    [({"a": 1}, {"a": 2}), ({"a": 1}, {}), ([1], [1, 2]), ("pay_…", "ref_1"), ({}, {"a": 1})],
)
def test_another_answer_would_be_noticed(shown: Any, got: Any) -> None:
    assert not agrees(shown, got)
