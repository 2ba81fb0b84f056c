"""What does an operator do about jobs?

These commands look into the database, of which every tenant's jobs show no more than whose they are
and which row they name. They may run beside a server that uses the same data folder, or alone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    from payengine.jobs.desk import Job, JobDesk, JobFilter

__all__ = ["jobs_app"]

jobs_app = App(name="jobs", help="List jobs, retry what is held, drop what is not wanted.")

_Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, one line each.")]
_Home = Annotated[Path | None, Parameter(help="The data folder; by default PAYENGINE_HOME.")]
_Tenant = Annotated[UUID | None, Parameter(help="Only this tenant's.")]
_Kind = Annotated[str | None, Parameter(help="Only this kind.")]
_State = Literal["waiting", "running", "held"]
#: The ids that a queue can give: PostgreSQL's bigint.
_Id = Annotated[int, Parameter(validator=Number(gte=1, lte=2**63 - 1))]


@jobs_app.command(name="list")
def list_jobs(
    *,
    tenant: _Tenant = None,
    kind: _Kind = None,
    state: _State | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = 50,
    json: _Json = False,
    home: _Home = None,
) -> None:
    """List jobs, oldest first: those that wait, run, or are held after too many failures.

    Parameters
    ----------
    state
        Only those that are in this state.
    limit
        How many at most, up to 1,000.
    """
    from payengine.jobs.desk import JobFilter

    chosen = JobFilter(tenant, kind, state)
    found = _at_desk(home, lambda desk: desk.find(chosen, limit=limit))
    if json:
        for job in found:
            print(msgspec.json.encode(job, order="deterministic").decode())
    elif found:
        _show(found)
    else:
        print("There is no such job.")


@jobs_app.command
def retry(
    *ids: _Id,
    tenant: _Tenant = None,
    kind: _Kind = None,
    all: Annotated[bool, Parameter(name="--all", negative="")] = False,
    json: _Json = False,
    home: _Home = None,
) -> int:
    """Let jobs that are held be tried again from the beginning; exits with 1 where there is none.

    Parameters
    ----------
    ids
        Which; without, name a tenant, a kind, or --all.
    all
        Every job that is held, up to 1,000.
    """
    chosen = _chosen(ids, tenant=tenant, kind=kind, state=None, whole=all)
    if chosen is None:
        return 1
    return _tell("retried", _at_desk(home, lambda desk: desk.retry(chosen)), json=json)


@jobs_app.command
def drop(
    *ids: _Id,
    tenant: _Tenant = None,
    kind: _Kind = None,
    state: Literal["waiting", "held"] | None = None,
    all: Annotated[bool, Parameter(name="--all", negative="")] = False,
    json: _Json = False,
    home: _Home = None,
) -> int:
    """Forget jobs; exits with 1 where there is none. What is being done is left alone.

    Parameters
    ----------
    ids
        Which, in whatever state; without, name a tenant, a kind, or --all.
    state
        Only those that are in this state; without ids by default those that are held.
    all
        Every job in that state, up to 1,000.
    """
    chosen = _chosen(
        ids, tenant=tenant, kind=kind, state=state or (None if ids else "held"), whole=all
    )
    if chosen is None:
        return 1
    return _tell("dropped", _at_desk(home, lambda desk: desk.drop(chosen)), json=json)


def _chosen(
    ids: tuple[int, ...],
    *,
    tenant: UUID | None,
    kind: str | None,
    state: _State | None,
    whole: bool,
) -> JobFilter | None:
    from payengine.jobs.desk import JobFilter

    if not (ids or tenant or kind or whole):
        print("Nothing was done: name jobs, --tenant, --kind or --all.", file=sys.stderr)
        return None
    return JobFilter(tenant, kind, state, ids)


def _tell(done: str, ids: list[int], *, json: bool) -> int:
    if json:
        print(msgspec.json.encode({done: ids}).decode())
    else:
        print(f"{len(ids)} {'job' if len(ids) == 1 else 'jobs'} {done}.")
    return 0 if ids else 1


def _show(jobs: list[Job]) -> None:
    rows = [("id", "state", "kind", "tenant", "row", "tries", "due", "last failure")]
    rows += [
        (
            str(job.id),
            job.state,
            job.kind,
            str(job.tenant_id),
            job.row_id,
            str(job.tries),
            f"{job.due_at:%Y-%m-%d %H:%M:%S}",
            job.error or "",
        )
        for job in jobs
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _at_desk(home: Path | None, ask: Callable[[JobDesk], Awaitable[list[Any]]]) -> list[Any]:
    from payengine.embedded import running_servers
    from payengine.jobs.desk import JobDesk
    from payengine.settings import Settings
    from payengine.storage import Database, migrate

    async def work() -> list[Any]:
        async with running_servers(Settings.from_environment(home=home)) as servers:
            await migrate(owner_url=servers.owner_url, login_url=servers.login_url)
            database = await Database.open(servers.login_url, pool_size=1)
            try:
                return await ask(JobDesk(database))
            finally:
                await database.close()

    return asyncio.run(work())
