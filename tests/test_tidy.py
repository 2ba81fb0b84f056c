"""Is the house in order?

The rules of the house as tests: over every file that is tracked or about to be, and over planted
offenders, so that each rule is seen to bite.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.tidy_rules import PYTHON_RULES, TEXT_RULES, Rule, path_offences

ROOT = Path(__file__).parents[1]

#: The rules and their planted offenders spell out what they forbid.
_SPELLED_OUT = {"tests/tidy_rules.py", "tests/test_tidy.py"}
_NOT_OURS = {".venv", ".payengine", ".git", "node_modules", "__pycache__", "dist", "build"}


@cache
def paths() -> tuple[str, ...]:
    """Every file that is tracked or would be; without git, every file that is not built."""
    listed = _listed_by_git() if shutil.which("git") and (ROOT / ".git").exists() else None
    found = _walked() if listed is None else listed
    return tuple(sorted(path for path in found if (ROOT / path).is_file()))


def _listed_by_git() -> list[str] | None:
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.split("\0")[:-1] if done.returncode == 0 else None


def _walked() -> Iterator[str]:
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in _NOT_OURS and name[0] != "."]
        for name in names:
            yield (Path(folder) / name).relative_to(ROOT).as_posix()


@cache
def texts() -> dict[str, str]:
    """Every file that is text."""
    found: dict[str, str] = {}
    for path in paths():
        try:
            found[path] = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return found


def test_every_source_file_is_looked_at() -> None:
    assert len([path for path in texts() if path.endswith(".py")]) > 100
    assert {"core/payengine/money/arithmetic.py", "migrations/env.py"} <= texts().keys()


def test_names_of_files_say_something() -> None:
    assert [offence for path in paths() for offence in path_offences(path)] == []


@pytest.mark.parametrize("rule", PYTHON_RULES, ids=lambda rule: rule.__name__)
def test_python_keeps_the_rule(rule: Rule) -> None:
    offences = [
        offence
        for path, text in texts().items()
        if path.endswith(".py")
        for offence in rule(path, text)
    ]
    assert offences == []


@pytest.mark.parametrize("rule", TEXT_RULES, ids=lambda rule: rule.__name__)
def test_text_keeps_the_rule(rule: Rule) -> None:
    offences = [
        offence
        for path, text in texts().items()
        if path not in _SPELLED_OUT
        for offence in rule(path, text)
    ]
    assert offences == []


_LONG = "def f() -> None:\n" + "    pass\n" * 70
_TWELVE_AND_ONE = "class HookSpecs:\n" + "".join(
    f'    def hook{number}(self) -> object:\n        """One more."""\n' for number in range(13)
)
_SAID = '"""Is it said?"""\n'

#: rule, path, text: each is an offender that its rule must find.
PLANTED = [
    ("short_modules", "core/payengine/money/long.py", "\n" * 501),
    ("short_functions", "tests/core/test_long.py", _LONG),
    ("honest_exports", "core/payengine/a.py", '__all__ = ["gone"]\n'),
    ("honest_exports", "core/payengine/a.py", "__all__ = []\ndef public() -> None: ...\n"),
    ("documented", "core/payengine/a.py", "x = 1\n"),
    ("documented", "core/payengine/a.py", '"""A statement."""\n'),
    ("documented", "core/payengine/a.py", _SAID + "def public() -> None: ...\n"),
    ("documented", "core/payengine/a.py", _SAID + "class _P: ...\nclass P:\n    '''P.'''\n"
     "    def m(self) -> None: ...\n"),
    ("integer_money", "core/payengine/money/a.py", "rate = 0.1\n"),
    ("integer_money", "core/payengine/ledger/a.py", "total = float(text)\n"),
    ("integer_money", "core/payengine/payments/fold.py", "half = amount_minor / 2\n"),
    ("told_time", "core/payengine/payments/a.py", "at = datetime.now(UTC)\n"),
    ("told_time", "core/payengine/ledger/a.py", "at = time.time()\n"),
    ("few_hooks", "core/payengine/plugin/hooks.py", _TWELVE_AND_ONE),
    ("few_hooks", "core/payengine/plugin/hooks.py",
     "class HookSpecs:\n    def bare(self): ...\n"),
    ("one_way_imports", "core/payengine/plugin/a.py", "from payengine.storage import Database\n"),
    ("one_way_imports", "core/payengine/plugin/a.py", "from payengine import ledger\n"),
    ("one_way_imports", "plugins/acme/payengine_acme/a.py", "import payengine.engine\n"),
    ("one_way_imports", "plugin-template/payengine_acorn/a.py",
     "def f():\n    from payengine_tenants import keys\n"),
    ("nameless_providers", "core/payengine/payments/a.py", 'if gateway == "stripe": ...\n'),
    ("nameless_providers", "graphql/payengine_graphql/a.py", "# the sandbox answers at once\n"),
    ("finished", "docs/index.md", "TO" "DO: write this\n"),
    ("speaks_of_the_product", "docs/index.md", "see /wo" "rk/main\n"),
    ("speaks_of_the_product", "docs/index.md", "copy ../sha" "red/examples\n"),
    ("speaks_of_the_product", "requirements.lock", "--index" "-url https://example.org\n"),
    ("speaks_of_the_product", "README.md", "as decided in iss" "ue 7\n"),
    ("silent_payments", "core/payengine/events/a.py", "SELECT pg_not" "ify('c', '')\n"),
    ("timeless_sql", "migrations/versions/0009_a.sql", "created_at timestamptz DEFAULT now()\n"),
    ("timeless_sql", "core/payengine/payments/a.py", '_DUE = "… WHERE due_at < now()"\n'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "text"), PLANTED)
def test_rule_finds_what_is_planted(name: str, path: str, text: str) -> None:
    (rule,) = (each for each in (*PYTHON_RULES, *TEXT_RULES) if each.__name__ == name)
    assert list(rule(path, text)) != []


def test_every_rule_has_a_planted_offender() -> None:
    planted = {name for name, _, _ in PLANTED}
    assert {rule.__name__ for rule in (*PYTHON_RULES, *TEXT_RULES)} == planted


@pytest.mark.parametrize(
    "path",
    ["core/__init__.py", "graphql/__init__.py", "uv.lock", "core/payengine/utils.py",
     "core/payengine/common/a.py", "tests/helpers.py"],
)  # fmt: skip
def test_bad_names_are_found(path: str) -> None:
    assert list(path_offences(path)) != []
