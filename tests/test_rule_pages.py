"""Does the page about fraud rules say what the rules themselves say?"""

from __future__ import annotations

import json
import re
from functools import cache

import msgspec
import pytest
from payengine.plugin import RuleManifest
from payengine.registry import InstalledPlugins, LoadedRule
from payengine_fraud_expression import ExpressionSettings, compile_condition
from payengine_fraud_expression.words import CALLS, FIELDS

from tests.doc_pages import ROOT, blocks

_PAGE = ROOT / "docs" / "reference" / "fraud-rules.md"
_OWN = ROOT / "docs" / "how-to" / "write-fraud-rules.md"
_SECTION = re.compile(r"^### (?P<name>\w+)\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
#: The model has a page of its own.
_ELSEWHERE = {"fraud_model"}


@cache
def _shipped() -> dict[str, LoadedRule]:
    rules = InstalledPlugins.load(strangers=False).rules
    return {
        name: rule
        for name, rule in rules.items()
        if rule.plugin.startswith("fraud_") and rule.plugin not in _ELSEWHERE
    }


@cache
def _sections() -> dict[str, str]:
    return {found["name"]: found["text"] for found in _SECTION.finditer(_PAGE.read_text())}


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _facts(rule: LoadedRule) -> list[str]:
    """The row that says when and on what the rule works."""
    manifest: RuleManifest = rule.manifest
    features = rule.rule.features(manifest.settings())
    return [
        ", ".join(f"`{stage}`" for stage in manifest.stages),
        f"`{manifest.default_mode}`",
        f"`{manifest.on_error}`",
        ", ".join(f"`{feature.name}`" for feature in features) or "nothing of the past",
    ]


def test_every_rule_has_a_section_and_no_other() -> None:
    assert set(_sections()) == set(_shipped())
    assert len(_sections()) >= 20


@pytest.mark.parametrize("name", sorted(_shipped()))
def test_section_has_stages_mode_features_and_defaults(name: str) -> None:
    rule = _shipped()[name]
    facts, *settings = _rows(_sections()[name])
    assert facts == _facts(rule)
    plain = msgspec.to_builtins(rule.manifest.settings())
    expected = {f"`{field}`": f"`{json.dumps(value)}`" for field, value in plain.items()}
    assert {row[0]: row[1] for row in settings} == expected
    assert all(row[2] for row in settings)


def test_words_of_conditions_are_all_named() -> None:
    words = set(re.findall(r"`(\w+)", _OWN.read_text()))
    assert set(FIELDS) | set(CALLS) | {"known", "metadata"} <= words


def test_example_of_conditions_is_accepted() -> None:
    (block,) = blocks("json", page=_OWN)
    settings = msgspec.json.decode(block.text, type=ExpressionSettings)
    assert len(settings.conditions) == 1
    (said,) = blocks("text", page=_OWN)
    with pytest.raises(ValueError) as wrong:
        compile_condition("1000 < 2 * amuont")
    assert said.text.strip() == str(wrong.value)
