"""What can an operator ask on the command line?

`payengine` itself knows the database and the plugins; tenants and the server add their commands by
the entry-point group `payengine.commands`, and plugins add theirs by the hook `commands`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from payengine import __version__
from payengine.errors import PayengineError
from payengine.finance.cli import ledger_app, settlements_app
from payengine.jobs.cli import jobs_app
from payengine.registry.cli import plugins_app
from payengine.training.cli import fraud_app

if TYPE_CHECKING:
    from payengine.invariants import Report

__all__ = ["app", "main"]

_COMMANDS = "payengine.commands"

app = App(
    name="payengine",
    help="The Realtime Payment Engine: payments that are never lost, doubled or guessed.",
    version=__version__,
    result_action="return_value",
)
app.command(fraud_app)
app.command(jobs_app)
app.command(ledger_app)
app.command(plugins_app)
app.command(settlements_app)

_Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON on one line.")]
_Home = Annotated[Path | None, Parameter(help="The data folder; by default PAYENGINE_HOME.")]


@app.command
def migrate(*, home: _Home = None) -> None:
    """Bring the database to the newest shape; safe to run while a server runs."""
    from payengine.embedded import running_servers
    from payengine.settings import Settings
    from payengine.storage import migrate as run

    async def work() -> None:
        async with running_servers(Settings.from_environment(home=home)) as servers:
            await run(owner_url=servers.owner_url, login_url=servers.login_url)

    asyncio.run(work())
    print("The database has the newest shape.")


@app.command
def verify(*, home: _Home = None, json: _Json = False) -> int:
    """Check every invariant of every tenant; exits with 1 and the list where one is broken."""
    from payengine.engine import running_engine
    from payengine.invariants import verify as run
    from payengine.settings import Settings

    def told(done: int, of: int) -> None:
        if not json and sys.stderr.isatty():
            print(f"\rtenant {done + 1} of {of} ", end="", file=sys.stderr, flush=True)

    async def work() -> Report:
        async with running_engine(Settings.from_environment(home=home), background=False) as engine:
            return await run(engine, told=told)

    report = asyncio.run(work())
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report)
    return 0 if report.ok else 1


def _show(report: Report) -> None:
    print(
        f"\r{report.tenants} tenants, {report.payments} payments, "
        f"{report.movements} movements of gateways looked at."
    )
    for breach in report.broken:
        print(f"  {breach.check}: {breach.subject or breach.tenant_id}: {breach.message}")
    print("Every invariant holds." if report.ok else f"{len(report.broken)} broken.")


@app.command
def worker(
    *,
    concurrency: int | None = None,
    only: Annotated[list[str] | None, Parameter(negative="")] = None,
    home: _Home = None,
) -> int:
    """Do what goes on in the background, beside servers that were told not to.

    The relay, the balances, the rooms' pollers, the calendar and the jobs. Any number of workers
    may run. It prints how it does; SIGINT and SIGTERM drain: what is under way may end within ten
    seconds, and the rest goes back to the queue.

    Parameters
    ----------
    concurrency
        Jobs at the same time; by default PAYENGINE_JOB_CONCURRENCY, else 8.
    only
        Only jobs of this kind, and nothing else of the background; repeat it for more.
    """
    from payengine.settings import Settings
    from payengine.worker import run

    settings = Settings.from_environment(home=home, job_concurrency=concurrency)
    return run(settings, only=only or ())


@app.command
def reset(*, home: _Home = None, yes: bool = False) -> int:
    """Forget the data folder: stop its servers and delete what the engine keeps there.

    Parameters
    ----------
    home
        The data folder; by default PAYENGINE_HOME.
    yes
        Do not ask.
    """
    from payengine.embedded import forget
    from payengine.settings import Settings

    settings = Settings.from_environment(home=home)
    if not yes:
        if not sys.stdin.isatty():
            print("Nothing was deleted: add --yes where nobody can be asked.", file=sys.stderr)
            return 1
        if input(f"Delete all data in {settings.home}? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was deleted.")
            return 1
    left = asyncio.run(forget(settings))
    print(f"Forgotten: {settings.home}")
    if left:
        print(f"Left alone, because the engine did not make them: {', '.join(left)}")
    return 0


def _add_commands(wanted: str | None) -> None:
    """Add what other distributions offer; plugins are loaded only where they may be meant."""
    for entry in sorted(entry_points(group=_COMMANDS), key=lambda each: each.name):
        app.command(entry.load(), name=entry.name)
    if wanted is not None and wanted in app:
        return
    from payengine.errors import ConfigurationError
    from payengine.registry.hosting import Hosting
    from payengine.registry.loader import InstalledPlugins
    from payengine.settings import Settings

    try:
        hosting = Hosting.from_settings(Settings.from_environment())
    except ConfigurationError:  # the command itself says what is wrong with it
        hosting = Hosting()
    installed = InstalledPlugins.load(hosting=hosting, strangers=False)
    for offers in installed.offered("commands").values():
        for offered in offers:
            app.command(offered)


def _is_broken(argument: str) -> bool:
    """Whether bytes stood there that are no UTF-8: Python keeps them as surrogates."""
    return any("\ud800" <= letter <= "\udfff" for letter in argument)


def main() -> None:
    """The program `payengine`."""
    arguments = sys.argv[1:]
    if any(map(_is_broken, arguments)):
        print("payengine: an argument is not text in UTF-8.", file=sys.stderr)
        sys.exit(2)
    words = [argument for argument in arguments if not argument.startswith("-")]
    _add_commands(words[0] if words else None)
    try:
        result = app(arguments)
        sys.stdout.flush()
    except PayengineError as problem:
        print(f"payengine: {problem.message}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as problem:
        if problem.filename is None:
            raise  # no file that somebody named: a fault of ours, of which everything is shown
        print(f"payengine: {problem.filename}: {problem.strerror}", file=sys.stderr)
        sys.exit(2)
    sys.exit(result if isinstance(result, int) else 0)
