"""What does an operator ask of the ledger and of providers' files?

These commands act with every right, inside one tenant's scope at a time. They may run beside a
server that uses the same data folder, or alone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar
from uuid import UUID

import msgspec
from cyclopts import App, Parameter

from payengine.errors import InputInvalid

if TYPE_CHECKING:
    from payengine.context import TenantContext
    from payengine.engine import Engine
    from payengine.finance.verifying import LedgerReport
    from payengine.settlements import SettlementFile

__all__ = ["ledger_app", "settlements_app"]

T = TypeVar("T")

ledger_app = App(name="ledger", help="Check the ledger, write statements.")
settlements_app = App(name="settlements", help="Take providers' files in.")

_ACTOR = "operator"

_Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON on one line.")]
_Home = Annotated[Path | None, Parameter(help="The data folder; by default PAYENGINE_HOME.")]


@ledger_app.command
def verify(*, tenant: UUID | None = None, home: _Home = None, json: _Json = False) -> int:
    """Add every transfer up again, and compare: balances, days, both sides of each currency.

    Exits with 1 and the list where something differs.

    Parameters
    ----------
    tenant
        Only this tenant's ledger.
    """
    from payengine.finance.verifying import verify_ledger

    shown = not json and sys.stderr.isatty()

    def told(done: int, of: int) -> None:
        if shown:
            print(f"\rtenant {done} of {of} ", end="", file=sys.stderr, flush=True)

    report = _run(home, lambda engine: verify_ledger(engine.database, tenant_id=tenant, told=told))
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report)
    return 0 if report.ok else 1


@ledger_app.command
def statement(
    account: str,
    *,
    tenant: UUID,
    currency: str,
    since: datetime,
    until: datetime | None = None,
    format: Literal["csv", "camt053"] = "csv",
    out: Path | None = None,
    home: _Home = None,
) -> None:
    """Write an account's statement: what stood there, what moved, what stands there.

    Parameters
    ----------
    account
        The account, such as merchant_payable:main.
    tenant
        Whose ledger.
    currency
        In which currency.
    since
        From this instant on; without an offset, in UTC.
    until
        And before this one; by default now.
    format
        csv for a spreadsheet, camt053 as a bank writes it.
    out
        The file; by default it is printed.
    """
    from payengine.reports.statements import statement_text

    async def work(engine: Engine) -> str:
        context = await _context(engine, tenant)
        now = engine.clock.now(tenant)
        found = await engine.ledger.statement(
            context, account, currency, since=_aware(since), until=_aware(until or now)
        )
        return statement_text(found, format, made_at=now)

    text = _run(home, work)
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8", newline="")
        print(f"Written: {out}")


@settlements_app.command(name="import")
def take_in(
    file: Path,
    *,
    tenant: UUID,
    format: str,
    home: _Home = None,
    json: _Json = False,
) -> int:
    """Take a provider's file in: its lines once, its fees into the ledger, the rest as work.

    The same file again changes nothing. Exits with 1 where it left work or could not all be read.

    Parameters
    ----------
    file
        The file as the provider gave it.
    tenant
        Whose payments it is about.
    format
        How it is written; `payengine settlements formats` lists what can be read.
    """
    from payengine.settlements import ImportSettlementFile

    content = file.read_bytes()
    named = file.name.encode(errors="surrogateescape") + b"\0"
    shown = not json and sys.stderr.isatty()

    def told(done: int, of: int) -> None:
        if shown:
            print(f"\rline {done:,} of {of:,} ", end="", file=sys.stderr, flush=True)

    async def work(engine: Engine) -> SettlementFile:
        context = await _context(engine, tenant)
        request = ImportSettlementFile(
            # The content is its own key: to send a file twice is to send it once.
            idempotency_key=f"file {format[:60]} {sha256(named + content).hexdigest()}",
            format=format,
            content=content,
            name=file.name,
        )
        return await engine.settlements.import_file(context, request, told=told)

    done = _run(home, work)
    if json:
        plain = {
            "id": done.id,
            "lines": done.line_count,
            "new": done.new_count,
            "work": done.work_count,
            "problems": done.problems,
        }
        print(msgspec.json.encode(plain).decode())
    else:
        if shown:
            print("\r", end="", file=sys.stderr)
        print(f"{done.id}: {done.line_count} lines, {done.new_count} of them new.")
        for problem in done.problems:
            print(f"  not read: {problem}")
        print(f"{done.work_count} items wait for a person." if done.work_count else "All agrees.")
    return 1 if done.work_count or done.problems else 0


@settlements_app.command
def formats(*, home: _Home = None) -> None:
    """List which files can be read."""
    from payengine.registry import Hosting, ParserDesk
    from payengine.registry.loader import InstalledPlugins
    from payengine.settings import Settings

    hosting = Hosting.from_settings(Settings.from_environment(home=home))
    desk = ParserDesk(InstalledPlugins.load(hosting=hosting, strangers=False))
    for each in desk.formats():
        print(f"{each.name:24} {each.title}")


def _run(home: Path | None, work: Callable[[Engine], Awaitable[T]]) -> T:
    from payengine.engine import running_engine
    from payengine.settings import Settings

    async def run() -> T:
        async with running_engine(Settings.from_environment(home=home), background=False) as engine:
            return await work(engine)

    return asyncio.run(run())


async def _context(engine: Engine, tenant_id: UUID) -> TenantContext:
    """The operator in this tenant; raises `NotFound` where there is none."""
    from payengine.context import SCOPES, TenantContext
    from payengine.errors import NotFound

    async with engine.database.tenant(tenant_id) as session:
        mode = await session.fetchval("SELECT mode FROM tenant WHERE id = $1", tenant_id)
    if mode is None:
        raise NotFound(f"There is no tenant {tenant_id}.")
    return TenantContext(tenant_id, mode, _ACTOR, frozenset(SCOPES))


def _aware(at: datetime) -> datetime:
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        raise InputInvalid("This instant is out of range.") from None


def _show(report: LedgerReport) -> None:
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    print(f"{report.tenants} ledgers, {report.transfers} transfers added up again.")
    for each in report.trial:
        print(f"  {each.tenant_id} {each.currency}: {each.debits} debited, {each.credits} credited")
    for sentence in report.broken:
        print(f"  {sentence}")
    print("Everything agrees." if report.ok else f"{len(report.broken)} differences.")
