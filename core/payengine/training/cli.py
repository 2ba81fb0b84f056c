"""What does an operator do about learned models?

`backtest` says how good the rules and a model would have been on a file of payments; `train` makes
a model, `promote` lets it judge a tenant's payments once the gate opens, and `rollback` goes back.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from payengine.plugin.fraud import RuleStage
from payengine.training.command import promote, rollback

__all__ = ["fraud_app"]

fraud_app = App(name="fraud", help="Train fraud models, test them on the past, promote them.")
fraud_app.command(promote)
fraud_app.command(rollback)

_Form = Literal["terminal", "gateway"]


@fraud_app.command
def backtest(
    file: Path,
    *,
    protocol: _Form,
    train_days: int | None = None,
    delay_days: int | None = None,
    test_days: int | None = None,
    folds: int | None = None,
    start_day: int | None = None,
    warm_up_days: int = 45,
    rules_only: Annotated[bool, Parameter(negative="")] = False,
    stage: Literal["pre_auth", "post_auth"] = "pre_auth",
    scores: Path | None = None,
) -> int:
    """Replay a file in event time, score its later days, and say how good the scores were.

    Every payment goes through the installed rules and the feature code of payments that wait. A
    label counts from the moment at which it became known. Progress goes to stderr, the scores to a
    file, and the last line of the output is one JSON object.

    Parameters
    ----------
    file
        Parquet, CSV or gzipped CSV, in the form of either world.
    protocol
        terminal: four folds, each of days to learn from, to wait for labels and to test, by
        default 7, 7 and 7, without cards that are known to be misused. gateway: one fold from the
        first day on, by default of 63, 21 and 36.
    train_days
        How many days are learned from.
    delay_days
        How many days are waited for labels. Where the file does not say when its labels became
        known, it is after so many days.
    test_days
        How many days are scored.
    folds
        How many times; each fold begins a test earlier than the next.
    start_day
        The first day that the newest fold learns from, counted from 0. By default 115 for
        terminals, as in the Fraud Detection Handbook, or the last that fits; 0 for a gateway.
    warm_up_days
        From how many days before the first fold on payments are read, so that they have a past.
    rules_only
        Without labels and without a model, as on a tenant's first day.
    stage
        pre_auth judges by what is known before the authorization, post_auth after it.
    scores
        Where the scores go; by default beside you, as <file>.scores.csv.
    """
    given = {
        "train_days": train_days,
        "delay_days": delay_days,
        "test_days": test_days,
        "folds": folds,
        "start_day": start_day,
        "warm_up_days": warm_up_days,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    target = scores or Path(f"{file.name.split('.')[0]}.scores.csv")
    return _backtest(file, protocol, chosen, stage=stage, rules_only=rules_only, scores=target)


def _backtest(
    file: Path,
    form: _Form,
    chosen: dict[str, int],
    *,
    stage: RuleStage,
    rules_only: bool,
    scores: Path,
) -> int:
    from payengine.fraud.replay.backtest import Backtest
    from payengine.fraud.replay.folds import Protocol

    base = Protocol.terminal() if form == "terminal" else Protocol.gateway()
    protocol = msgspec.structs.replace(base, **chosen)
    # A replay makes no cycles, and a collector that walks millions of payments costs a third more.
    gc.disable()
    try:
        work = Backtest(protocol, stage=stage, rules_only=rules_only, told=_teller())
        report = work.run(file, scores=scores)
    finally:
        gc.enable()
    print(f"The scores of {report.payments} payments are in {scores}.")
    print(msgspec.json.encode(report).decode())
    return 0


@fraud_app.command
def train(
    file: Path | None = None,
    *,
    output: Path,
    tenant: str | None = None,
    name: str = "",
    delay_days: int = 21,
    most_inputs: int | None = None,
    first_day: Annotated[bool, Parameter(negative="")] = False,
    everything: Annotated[bool, Parameter(negative="")] = False,
    home: Path | None = None,
) -> int:
    """Learn a model from a file or from a tenant's own history, and write it as JSON.

    It learns from the first three quarters of the time, and its metrics are those of the last.

    Parameters
    ----------
    file
        Parquet, CSV or gzipped CSV, in the form of either world.
    output
        Where the model goes.
    tenant
        Learn from this tenant's payments instead, and keep the model with the tenant too.
    name
        What it is called; by default after the file.
    delay_days
        How long labels are waited for: what is younger is not learned from. Where the file does
        not say when its labels became known, it is after so many days.
    most_inputs
        Keep only so many inputs, those that the trees ask for most.
    first_day
        Leave out what needs labels, or knows the sellers: a model for a tenant without a past.
    everything
        Learn from the last quarter too: then no later payments are left for the gate.
    home
        The data folder; by default PAYENGINE_HOME.
    """
    if (file is None) == (tenant is None):
        print("Name a file, or a tenant: one of them.", file=sys.stderr)
        return 1
    lesson = {
        "name": name or (file.stem if file is not None else f"tenant {tenant}"),
        "most_inputs": most_inputs,
        "first_day": first_day,
        "everything": everything,
        "wait_days": delay_days,
    }
    return _train(file, tenant or "", lesson, output=output, home=home)


def _train(
    file: Path | None, tenant: str, lesson: dict[str, Any], *, output: Path, home: Path | None
) -> int:
    from payengine.fraud.replay.learn import Lesson, learn
    from payengine.fraud.replay.worlds import read_world
    from payengine.plugin.trees import encoded
    from payengine.training.command import history_of, keep

    chosen = Lesson(**lesson)
    if file is not None:
        world = read_world(file, label_delay_days=chosen.wait_days)
    else:
        world = history_of(tenant, home)
    model = learn(world, chosen, told=_teller())
    output.write_bytes(encoded(model))
    said = {
        "model": str(output),
        "number": keep(tenant, model, home) if tenant else None,
        "sha256": model.sha256,
        "trees": len(model.trees),
        "inputs": len(model.inputs),
        "features": len(model.features),
        "payments": model.window.payments,
        "frauds": model.window.frauds,
        **model.metrics,
    }
    print(msgspec.json.encode(said).decode())
    return 0


def _teller() -> Callable[[float, str], None]:
    """Says how far it is: over and over on a terminal, else at every tenth."""
    began = time.monotonic()
    live = sys.stderr.isatty()
    told = [-1.0]

    def tell(done: float, doing: str) -> None:
        if not live and done < 1 and done - told[0] < 0.1 and not doing.startswith("train"):
            return
        told[0] = done
        line = f"{done:4.0%} {doing}, {time.monotonic() - began:.0f} s"
        if live:
            line = f"\r{line}\033[K"
        print(line, end="" if live and done < 1 else "\n", file=sys.stderr, flush=True)

    return tell
