"""Which of a tenant's models is to judge, says an operator?

These commands reach the tenant's own rows: its history, its models and what was promoted.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from cyclopts import Parameter

if TYPE_CHECKING:
    from payengine.context import TenantContext
    from payengine.engine import Engine
    from payengine.fraud.replay.worlds import World
    from payengine.plugin.trees import TreeModel

__all__ = ["history_of", "keep", "promote", "rollback"]

_Home = Annotated[Path | None, Parameter(help="The data folder; by default PAYENGINE_HOME.")]
_Tenant = Annotated[uuid.UUID, Parameter(help="Whose model.")]

AnswerT = TypeVar("AnswerT")


def promote(
    number: int | None = None,
    *,
    tenant: _Tenant,
    reason: str,
    file: Path | None = None,
    model: Path | None = None,
    home: _Home = None,
) -> int:
    """Let a model judge a tenant's payments from now on, once the gate opens.

    The gate judges by payments since the model was trained: its average precision is at least that
    of the model that judges now, and above those of a logistic regression and of the rules; it
    finds about as many frauds at half a percent of false alarms; its probabilities fit, and its
    scores have not shifted. Exits with 1, and says why, where it stays shut.

    Parameters
    ----------
    number
        Which of the tenant's models, as `train --tenant` numbered it.
    reason
        Why; it is kept with the promotion.
    file
        Judge by this file of payments, in the form of either world, and not by the tenant's own.
    model
        Keep this file's model with the tenant first, and promote it.
    """
    if (number is None) == (model is None):
        print("Name a number, or a model's file: one of them.", file=sys.stderr)
        return 1
    from payengine.plugin.trees import ModelInvalid, read

    try:
        given = None if model is None else read(model.read_bytes())
    except (ModelInvalid, OSError) as problem:
        print(f"{model} holds no model: {problem}", file=sys.stderr)
        return 1

    async def work(engine: Engine, context: TenantContext) -> int:
        from payengine.fraud.model.shelf import ModelShelf
        from payengine.fraud.replay.history import read_history
        from payengine.fraud.replay.learn import tried
        from payengine.fraud.replay.rules import Bench
        from payengine.fraud.replay.worlds import read_world

        shelf = ModelShelf(engine.database, vault=engine.vault, clock=engine.clock)
        wanted = number
        if given is not None:
            wanted = (await shelf.keep(context, given)).number
        assert wanted is not None
        challenger = await shelf.open(context, wanted)
        champion = await shelf.promoted(context)
        world = (
            await read_history(engine.database, context)
            if file is None
            else read_world(file, label_delay_days=21)
        )
        bench = Bench(engine.registry.installed.rules.values(), stage="pre_auth")
        judged = tried(world, challenger, champion, bench=bench, told=lambda _done, _doing: None)
        print(msgspec.json.encode({"model": wanted, **msgspec.to_builtins(judged)}).decode())
        if not judged.passed:
            for objection in judged.objections:
                print(objection, file=sys.stderr)
            return 1
        await shelf.promote(context, wanted, judged=judged, reason=reason)
        engine.fraud.rulebook.forget(context.tenant_id)
        return 0

    return _with_engine(tenant, home, work)


def rollback(*, tenant: _Tenant, reason: str, home: _Home = None) -> int:
    """Let the model judge again that judged before; at last the one that the plugin brings.

    Parameters
    ----------
    reason
        Why; it is kept.
    """

    async def work(engine: Engine, context: TenantContext) -> int:
        from payengine.fraud.model.shelf import ModelShelf

        shelf = ModelShelf(engine.database, vault=engine.vault, clock=engine.clock)
        made = await shelf.rollback(context, reason=reason)
        engine.fraud.rulebook.forget(context.tenant_id)
        print(msgspec.json.encode({"number": made.number, "model": made.model_number}).decode())
        return 0

    return _with_engine(tenant, home, work)


def history_of(tenant: str, home: Path | None) -> World:
    """The tenant's own payments; raises as `read_history` does."""

    async def work(engine: Engine, context: TenantContext) -> World:
        from payengine.fraud.replay.history import read_history

        return await read_history(engine.database, context)

    return _with_engine(uuid.UUID(tenant), home, work)


def keep(tenant: str, model: TreeModel, home: Path | None) -> int:
    """Keep the model with the tenant; its version."""

    async def work(engine: Engine, context: TenantContext) -> int:
        from payengine.fraud.model.shelf import ModelShelf

        shelf = ModelShelf(engine.database, vault=engine.vault, clock=engine.clock)
        return (await shelf.keep(context, model)).number

    return _with_engine(uuid.UUID(tenant), home, work)


def _with_engine(
    tenant: uuid.UUID,
    home: Path | None,
    work: Callable[[Engine, TenantContext], Awaitable[AnswerT]],
) -> AnswerT:
    from payengine.context import SCOPES, TenantContext
    from payengine.engine import running_engine
    from payengine.errors import NotFound
    from payengine.settings import Settings

    async def run() -> AnswerT:
        async with running_engine(Settings.from_environment(home=home), background=False) as engine:
            async with engine.database.tenant(tenant) as session:
                mode = await session.fetchval("SELECT mode FROM tenant WHERE id = $1", tenant)
            if mode is None:
                raise NotFound(f"There is no tenant {tenant}.")
            context = TenantContext(tenant, mode, "operator", frozenset(SCOPES))
            return await work(engine, context)

    return asyncio.run(run())
