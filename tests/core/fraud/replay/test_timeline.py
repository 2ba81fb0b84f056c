"""Payments are scored as they would have been when they came."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from payengine.errors import InputInvalid
from payengine.fraud.model.training import Recipe
from payengine.fraud.replay.folds import Fold
from payengine.fraud.replay.rules import Bench
from payengine.fraud.replay.timeline import Scored, replay
from payengine.fraud.replay.worlds import DAY_S, World, read_world
from payengine.plugin import (
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    velocity,
)
from payengine.registry import LoadedRule
from payengine_fraud_model import ModelRule

from tests.core.fraud.replay.small_worlds import gateway_rows, terminal_rows, written

QUICK = Recipe(trees=12, leaves=4)
FOLDS = [
    Fold(number=0, train=0, train_end=10, test=14, test_end=18),
    Fold(number=1, train=4, train_end=14, test=18, test_end=22),
]


class Busy:
    """A device that pays again and again."""

    def describe(self) -> RuleManifest:
        return RuleManifest(name="busy", title="Busy", version="1.0.0", default_mode="live")

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        return [velocity("device", "count", "1h")]

    def evaluate(self, context: FraudContext, settings: PluginSettings) -> RuleVerdict:
        count = context.features["device.count.1h"]
        assert isinstance(count, int)
        return RuleVerdict(verdict="review" if count else "allow", score=count / (count + 1))


def loaded(rule: Any) -> LoadedRule:
    manifest = rule.describe()
    return LoadedRule(name=manifest.name, plugin="test", manifest=manifest, rule=rule)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench([loaded(Busy()), loaded(ModelRule())], stage="pre_auth")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    path = tmp_path_factory.mktemp("worlds") / "gateway.csv"
    return read_world(written(gateway_rows(), path), label_delay_days=5)


def scored(world: World, bench: Bench, **more: Any) -> list[Scored]:
    return list(replay(world, FOLDS, bench=bench, recipe=QUICK, **more))


def test_each_tested_day_is_scored_once(world: World, bench: Bench) -> None:
    done = scored(world, bench)
    days = {one.row.at // DAY_S for one in done}
    assert days == set(range(14, 22))
    assert len({one.row.payment_id for one in done}) == len(done)
    assert all(0 <= one.score <= 1 for one in done)


def test_frauds_score_higher(world: World, bench: Bench) -> None:
    done = scored(world, bench)
    bad = [one.score for one in done if one.row.fraud]
    good = [one.score for one in done if not one.row.fraud]
    assert _mean(bad) > 5 * _mean(good)


def relabelled(world: World, *, known_from: int, seed: int) -> World:
    """What became known from then on is shuffled, and what was known before stays."""
    chance = random.Random(seed)
    rows = [
        row
        if row.label_at is not None and row.label_at < known_from
        else msgspec.structs.replace(
            row,
            fraud=chance.randrange(2),
            label_at=chance.choice((None, max(known_from, row.at) + chance.randrange(DAY_S))),
        )
        for row in world.rows
    ]
    return msgspec.structs.replace(world, rows=rows)


@pytest.mark.parametrize("day", [14, 18, 20])
def test_what_becomes_known_later_changes_no_earlier_score(
    world: World, bench: Bench, day: int
) -> None:
    known_from = day * DAY_S + 1
    other = relabelled(world, known_from=known_from, seed=day)

    def early(done: list[Scored]) -> list[tuple[str, float]]:
        return [(one.row.payment_id, one.score) for one in done if one.row.at < known_from]

    before, after = scored(world, bench), scored(other, bench)
    assert early(before) == early(after)
    assert len(early(before)) > 0
    if day < 18:
        assert [one.score for one in before] != [one.score for one in after]


def test_what_comes_later_changes_no_earlier_score(world: World, bench: Bench) -> None:
    cut = 16 * DAY_S
    shorter = msgspec.structs.replace(world, rows=[row for row in world.rows if row.at < cut])
    whole = {one.row.payment_id: one.score for one in scored(world, bench) if one.row.at < cut}
    assert {one.row.payment_id: one.score for one in scored(shorter, bench)} == whole


def test_tenants_do_not_see_each_other(world: World, bench: Bench) -> None:
    own = [row for row in world.rows if row.tenant == "0"]
    alone = msgspec.structs.replace(world, rows=own)
    both = scored(world, bench, rules_only=True)
    expected = [(one.row.payment_id, one.score) for one in both if one.row.tenant == "0"]
    found = scored(alone, bench, rules_only=True)
    assert [(one.row.payment_id, one.score) for one in found] == expected


def test_rules_alone_need_no_label(world: World, bench: Bench) -> None:
    blind = msgspec.structs.replace(
        world, rows=[msgspec.structs.replace(row, fraud=0, label_at=None) for row in world.rows]
    )
    known = scored(world, bench, rules_only=True)
    unknown = scored(blind, bench, rules_only=True)
    assert [one.score for one in known] == [one.score for one in unknown]
    assert {one.verdict for one in known} == {"allow", "review"}


def test_nothing_is_learned_where_nothing_is_known(world: World, bench: Bench) -> None:
    blind = msgspec.structs.replace(
        world, rows=[msgspec.structs.replace(row, label_at=None) for row in world.rows]
    )
    with pytest.raises(InputInvalid, match="teaches nothing"):
        scored(blind, bench)


def test_terminals_are_learned_by_their_known_frauds(tmp_path: Path, bench: Bench) -> None:
    path = written(terminal_rows(), tmp_path / "terminal.csv")
    done = scored(read_world(path, label_delay_days=2), bench)
    by_kind = {fraud: [one.score for one in done if one.row.fraud == fraud] for fraud in (0, 1)}
    assert _mean(by_kind[1]) > 2 * _mean(by_kind[0])


def _mean(scores: list[float]) -> float:
    return sum(scores) / len(scores)
