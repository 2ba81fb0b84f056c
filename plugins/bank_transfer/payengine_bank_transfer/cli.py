"""What does a person do at the bank's desk?

Import the bank's files, look at what nobody has explained, say for which payment it was, and write
the files that the bank collects.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

__all__ = ["app"]

app = App(name="bank", help="Import statements, explain what is unmatched, export orders.")

_SECRET_VARIABLE = "PAYENGINE_BANK_WEBHOOK_SECRET"  # noqa: S105 - a variable's name
_Secret = Annotated[str, Parameter(env_var=_SECRET_VARIABLE, show=False)]
_SHOWN = 100


@app.command(name="import")
def import_(*files: Path, account: str = "", secret: _Secret = "") -> None:
    """Take in the bank's files: camt.053, camt.054, pain.002, pacs.004.

    A file that was taken in before changes nothing. Without FILES: what lies in the inbox.

    Parameters
    ----------
    files
        The bank's files.
    account
        The tenant whose account it is; may be left out where there is one only.
    """
    from payengine_bank_transfer.intake import summed
    from payengine_bank_transfer.rails import FolderRail
    from payengine_bank_transfer.statements import read_document
    from payengine_bank_transfer.xmltree import LARGEST_DOCUMENT, DocumentRefused

    desk, name, settings = _open(account)
    if not files:
        taken = desk.take_inbox(name, settings, FolderRail())
    else:
        every = []
        for path in files:
            try:
                if path.stat().st_size > LARGEST_DOCUMENT:
                    raise DocumentRefused("the file is too large")
                document = read_document(path.read_bytes())
            except (OSError, DocumentRefused) as refused:
                _stop(f"{path}: {refused}")
            every.append(desk.take_document(name, settings, document))
        taken = summed(every)
    print(
        f"{taken.kind}: {taken.lines} new lines, {taken.known} known, {taken.matched} matched,"
        f" {taken.unmatched} unmatched, {taken.reports} reports"
    )
    for problem in taken.problems:
        print(f"look at this: {problem}")
    _tell(desk, name, settings, secret)


@app.command
def unmatched(*, account: str = "") -> None:
    """Show the money that nobody has explained, and the payments that it may be for.

    Parameters
    ----------
    account
        The tenant; may be left out where there is one only.
    """
    from payengine_bank_transfer.amounts import spell_amount
    from payengine_bank_transfer.matching import candidates

    desk, name, _ = _open(account)
    store = desk.books().store
    waiting = store.in_status(name, "awaited", limit=10_000)
    lines = store.unexplained(name, limit=_SHOWN)
    for line in lines:
        rest = spell_amount(line.rest_minor)
        print(f"{line.line_id}  {line.booked_on}  {rest}  {line.party_name}  {line.text[:70]}")
        for one in candidates(line, waiting):
            missing = spell_amount(one.missing_minor)
            print(f"    maybe {one.reference}  {missing} missing  {one.name}")
    for one in waiting:
        if one.received_minor:
            came = f"{spell_amount(one.received_minor)} of {spell_amount(one.amount_minor)}"
            print(f"partly paid: {one.reference}  {came}  {one.name}")
    print(f"{len(lines)} lines" + (" or more" if len(lines) == _SHOWN else ""))


@app.command
def assign(
    line: str, reference: str, /, *, by: str, account: str = "", secret: _Secret = ""
) -> None:
    """Say that LINE was for the payment REFERENCE; what is too much stays in the queue.

    Parameters
    ----------
    line
        The line's id, as `unmatched` shows it.
    reference
        The payment's reference.
    by
        Who says so; kept with the line.
    account
        The tenant; may be left out where there is one only.
    """
    from payengine_bank_transfer.amounts import spell_amount
    from payengine_bank_transfer.intake import AssignRefused
    from payengine_bank_transfer.intake import assign as assign_line
    from payengine_bank_transfer.store import now_us

    desk, name, settings = _open(account)
    try:
        after = assign_line(
            desk.books().store,
            name,
            line_id=line,
            reference=reference,
            by_whom=by[:100],
            tolerance=settings.tolerance_minor,
            at_us=now_us(),
        )
    except AssignRefused as refused:
        _stop(str(refused))
    received, due = spell_amount(after.received_minor), spell_amount(after.amount_minor)
    print(f"{reference}: {after.status}, {received} of {due}")
    _tell(desk, name, settings, secret)


@app.command
def dismiss(line: str, /, *, note: str, account: str = "") -> None:
    """Take LINE off the queue, because it is for no payment.

    Parameters
    ----------
    line
        The line's id, as `unmatched` shows it.
    note
        Why; kept with the line.
    account
        The tenant; may be left out where there is one only.
    """
    from payengine_bank_transfer.intake import AssignRefused
    from payengine_bank_transfer.intake import dismiss as dismiss_line

    desk, name, _ = _open(account)
    try:
        dismiss_line(desk.books().store, name, line_id=line, note=note)
    except AssignRefused as refused:
        _stop(str(refused))
    print(f"{line}: dismissed")


@app.command
def export(*, account: str = "") -> None:
    """Write what waits into files for the bank; done again it writes nothing twice.

    Parameters
    ----------
    account
        The tenant; may be left out where there is one only.
    """
    from payengine_bank_transfer.pain import OrderRefused
    from payengine_bank_transfer.store import now_us

    desk, name, settings = _open(account)
    try:
        paths = desk.export(name, settings, at_us=now_us())
    except OrderRefused as refused:
        _stop(str(refused))
    for path in paths:
        print(path)
    print(f"{len(paths)} files")


@app.command
def tell(*, account: str = "", secret: _Secret = "") -> None:
    """Tell the platform what it was not told yet; needs PAYENGINE_BANK_WEBHOOK_SECRET.

    Parameters
    ----------
    account
        The tenant; may be left out where there is one only.
    """
    desk, name, settings = _open(account)
    _tell(desk, name, settings, secret)


def _open(account: str) -> tuple[Any, str, Any]:
    """The desk, the account and its settings; ends the program where it is not clear whose."""
    import msgspec

    from payengine_bank_transfer.desk import Desk
    from payengine_bank_transfer.settings import BankTransferSettings

    desk = Desk()
    profiles = desk.books().store.profiles()
    if not account and len(profiles) == 1:
        account = next(iter(profiles))
    if account not in profiles:
        _stop(f"say --account, one of: {', '.join(profiles) or 'none was used yet'}")
    settings = msgspec.json.decode(profiles[account], type=BankTransferSettings)
    return desk, account, settings


def _tell(desk: Any, account: str, settings: Any, secret: str) -> None:
    from payengine_bank_transfer.courier import deliver

    store = desk.books().store
    told, waits = asyncio.run(deliver(store, account, path=settings.webhook_url, secret=secret))
    if told or waits:
        print(f"{told} told, {waits} to be told")


def _stop(problem: str) -> Any:
    print(problem, file=sys.stderr)
    raise SystemExit(1)
