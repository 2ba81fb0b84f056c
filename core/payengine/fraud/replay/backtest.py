"""How good would the rules and a model have been on this file?"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from payengine.errors import InputInvalid
from payengine.fraud.replay.folds import Protocol, folds_of
from payengine.fraud.replay.report import Report, report_of
from payengine.fraud.replay.rules import Bench
from payengine.fraud.replay.timeline import Scored, Teller, replay
from payengine.fraud.replay.worlds import days_in, read_world
from payengine.plugin.fraud import RuleStage

__all__ = ["Backtest"]

_COLUMNS = ("fold", "payment_id", "tenant", "at_s", "score", "verdict", "is_fraud", "took_us")


class Backtest:
    """One run over one file."""

    def __init__(
        self,
        protocol: Protocol,
        *,
        stage: RuleStage = "pre_auth",
        rules_only: bool = False,
        told: Teller = lambda _done, _doing: None,
        bench: Bench | None = None,
    ) -> None:
        """`bench`: the rules; by default those that are installed."""
        self._protocol = protocol
        self._stage = stage
        self._rules_only = rules_only
        self._told = told
        self._bench = bench or Bench.installed(stage=stage)

    def run(self, path: Path, *, scores: Path | None = None) -> Report:
        """Replay the file, write each tested payment's score, and say how good they were.

        Raises `InputInvalid` where the file does not hold what the protocol needs, and
        `ConfigurationError` where a package is missing.
        """
        protocol = self._protocol
        if not self._rules_only and not self._bench.takes_models:
            raise InputInvalid("No installed rule takes a model: only --rules-only can be tested.")
        self._told(0.0, f"reading {path.name}")
        folds = folds_of(protocol, days=days_in(path))
        world = read_world(
            path,
            label_delay_days=protocol.delay_days,
            first_day=max(0, folds[0].train - protocol.warm_up_days),
            end_day=max(fold.test_end for fold in folds),
        )
        if world.form != protocol.form:
            raise InputInvalid(f"{path.name} holds the form {world.form}, not {protocol.form}.")
        scored = replay(
            world,
            folds,
            bench=self._bench,
            stage=self._stage,
            rules_only=self._rules_only,
            told=self._told,
        )
        return report_of(
            world,
            folds,
            scored if scores is None else _written(scored, scores, origin_s=world.origin_s),
            form=protocol.form,
            stage=self._stage,
            rules_only=self._rules_only,
            rules=self._bench.names,
        )


def _written(scored: Iterator[Scored], path: Path, *, origin_s: int) -> Iterator[Scored]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for one in scored:
            writer.writerow(
                (
                    one.fold,
                    one.row.payment_id,
                    one.row.tenant,
                    one.row.at + origin_s,
                    f"{one.score:.8f}",
                    one.verdict,
                    one.row.fraud,
                    round(one.took_ns / 1000, 1),
                )
            )
            yield one
