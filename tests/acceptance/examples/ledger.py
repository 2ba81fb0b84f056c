"""Does the ledger book the examples to the same balances?

The labels of events are not read: each expected transaction's entries are posted by the production
posting functions into a tenant of their own, read back, and compared with what is expected, before
and after folding.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from payengine.errors import PayengineError
from payengine.ledger import (
    Ledger,
    LedgerLine,
    balances,
    broken,
    fold_tail,
    open_holds,
    post,
    post_strict,
    templates,
    trial_balance,
)
from payengine.ledger.holds import release_of_holds, resolve_holds
from payengine.ledger.transfers import (
    Entry,
    HoldLine,
    Posting,
    Transfer,
    check_hold_open,
    entries_of,
    transfers_from_entries,
)

from tests.acceptance.examples.shapes import Case, World, require_keys, unknown_shape

__all__ = ["cases"]

_AT = datetime(2025, 6, 1, tzinfo=UTC)
_PAYMENT = "pay_example"
_STATE = {"balances", "pending", "trial_balance"}
_HOLD_KEYS = {
    "authorized_at",
    "capture",
    "capture_at",
    "captures",
    "expires_after_days",
    "hold",
    "increments",
    "then",
}


def cases(document: dict[str, Any]) -> list[Case]:
    """One case for each example."""
    return [Case(case["id"], partial(_run, case)) for case in document["cases"]]


async def _run(case: dict[str, Any], world: World) -> None:
    inputs, expected = dict(case["inputs"]), case["expected"]
    code = inputs.pop("currency", "USD")
    keys = set(inputs)
    result: dict[str, Any] = {}
    error: str | None = None
    try:
        if keys == {"events"}:
            await _scenario(expected["transactions"], world)
            expected = {name: expected[name] for name in expected if name != "transactions"}
        elif keys == {"entries"}:
            await _post(world, _posting("t1", inputs["entries"]))
        elif "hold" in keys and keys <= _HOLD_KEYS:
            await _hold(inputs, code, world)
        elif keys == {"credits_posted", "debits_posted", "pending_debit"}:
            await _strict(inputs, code, world)
        elif keys == {"id", "repeat"}:
            result = await _repeat(inputs, code, world)
        else:
            unknown_shape(f"a ledger case of {sorted(keys)}")
    except PayengineError as refused:
        error = refused.code
    require_keys(expected, _STATE | {"error", "result", "transactions"}, of="what is expected")
    assert error == expected.get("error")
    if error is None:
        for name in {"result", "transactions"} & set(expected):
            assert result[name] == expected[name]
        await _compare(expected, world)


def _entries(rows: Sequence[dict[str, Any]]) -> list[Entry]:
    for row in rows:
        require_keys(row, {"account", "direction", "amount", "currency"}, of="an entry")
    return [
        Entry(
            account=row["account"],
            direction=row["direction"],
            amount_minor=row["amount"],
            currency=row["currency"],
        )
        for row in rows
    ]


def _posting(
    transaction_id: str, rows: Sequence[dict[str, Any]], *, pending: bool = False
) -> Posting:
    transfers = transfers_from_entries(_entries(rows), phase="pending" if pending else "posted")
    return Posting(
        transaction_id=transaction_id, kind="example", transfers=transfers, payment_id=_PAYMENT
    )


async def _post(world: World, *postings: Posting) -> tuple[str, ...]:
    async with world.database.tenant(world.context.tenant_id) as session:
        return await post(session, world.context.tenant_id, postings, at=_AT)


async def _open(world: World) -> list[HoldLine]:
    async with world.database.tenant(world.context.tenant_id) as session:
        return await open_holds(session, world.context.tenant_id, _PAYMENT)


async def _scenario(transactions: list[dict[str, Any]], world: World) -> None:
    index = 0
    while index < len(transactions):
        present = transactions[index]
        require_keys(present, {"event", "status", "entries"}, of="a transaction")
        following = transactions[index + 1] if index + 1 < len(transactions) else None
        name = f"t{index}"
        if present["status"] in ("pending", "posted"):
            pending = present["status"] == "pending"
            await _post(world, _posting(name, present["entries"], pending=pending))
            await _compare_lines(name, present, world)
        elif present["status"] == "released":
            capture = following if _is_capture(present, following) else None
            await _release(name, present, capture, world)
            index += capture is not None
        else:
            unknown_shape(f"a transaction with the status {present['status']}")
        index += 1


def _pairs(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str, str], int]:
    sums: dict[tuple[str, str, str], int] = {}
    for transfer in transfers_from_entries(_entries(rows)):
        key = (transfer.debit_account, transfer.credit_account, transfer.currency)
        sums[key] = sums.get(key, 0) + transfer.amount_minor
    return sums


def _is_capture(released: dict[str, Any], following: dict[str, Any] | None) -> bool:
    """Whether the transaction after a release posts between the accounts of the hold."""
    if following is None or following["status"] != "posted":
        return False
    return bool(set(_pairs(released["entries"])) & set(_pairs(following["entries"])))


async def _release(
    name: str, released: dict[str, Any], capture: dict[str, Any] | None, world: World
) -> None:
    """A release and the capture that follows it are one post-and-void of the hold."""
    holds = await _open(world)
    ending: list[HoldLine] = []
    transfers: tuple[Transfer, ...] = ()
    for pair, amount in _pairs(released["entries"]).items():
        of_pair = [
            hold
            for hold in holds
            if (hold.debit_account, hold.credit_account, hold.currency) == pair
        ]
        exact = _summing_to(of_pair, amount)
        if exact is None and capture is None:
            transfers += release_of_holds(of_pair, amount)
        elif exact is None:
            unknown_shape(f"a capture that releases {amount} of {pair}, which no holds sum to")
        else:
            ending += exact
    if ending:
        posted = transfers_from_entries(_entries(capture["entries"])) if capture else ()
        transfers += resolve_holds(ending, posted=posted)
    posting = Posting(transaction_id=name, kind="example", transfers=transfers, payment_id=_PAYMENT)
    await _post(world, posting)
    await _compare_lines(name, released, world)
    if capture is not None:
        await _compare_lines(name, capture, world)


def _summing_to(holds: list[HoldLine], amount: int) -> list[HoldLine] | None:
    """Open holds whose sum is exactly `amount`, the oldest preferred."""
    reached: dict[int, list[HoldLine]] = {0: []}
    for hold in holds:
        for total, chosen in list(reached.items()):
            reached.setdefault(total + hold.amount_minor, [*chosen, hold])
    return reached.get(amount) or None


async def _compare_lines(name: str, expected: dict[str, Any], world: World) -> None:
    """The stored transfers, summed by account and direction, are the expected entries."""
    lines = await Ledger(world.database).transfers_of(world.context, _PAYMENT)
    by_place = {(line.transaction_id, line.line): line for line in lines}
    own = [line for line in lines if line.transaction_id == name]
    status = expected["status"]
    if status == "released":
        ended = [
            by_place[(line.pending_transaction_id, line.pending_line)]
            for line in own
            if line.pending_transaction_id is not None and line.pending_line is not None
        ]
        again = [line for line in own if line.phase == "pending"]
        assert _net(ended, again) == _net(_lines_like(expected), [])
    else:
        phases = ("pending",) if status == "pending" else ("posted", "post")
        moved = [line for line in own if line.phase in phases]
        assert _sums(moved) == _sums(_lines_like(expected))


def _lines_like(expected: dict[str, Any]) -> tuple[Transfer, ...]:
    return transfers_from_entries(_entries(expected["entries"]))


def _sums(lines: Sequence[LedgerLine | Transfer]) -> dict[tuple[str, str, str], int]:
    transfers = [
        Transfer(
            debit_account=line.debit_account,
            credit_account=line.credit_account,
            amount_minor=line.amount_minor,
            currency=line.currency,
        )
        for line in lines
    ]
    return {
        (entry.account, entry.direction, entry.currency): entry.amount_minor
        for entry in entries_of(transfers)
    }


def _net(
    ended: Sequence[LedgerLine | Transfer], again: Sequence[LedgerLine | Transfer]
) -> dict[tuple[str, str, str], int]:
    less = _sums(again)
    return {key: amount - less.get(key, 0) for key, amount in _sums(ended).items()}


async def _hold(inputs: dict[str, Any], code: str, world: World) -> None:
    """Authorize, capture, then perhaps end the same hold again: what is seen is the error."""
    money = {"payment_id": _PAYMENT, "gateway": "stripe", "merchant": "m1", "currency": code}
    opened = [templates.authorized(operation_id="op_0", amount_minor=inputs["hold"], **money)]
    opened += [
        templates.incremented(operation_id=f"op_i{number}", amount_minor=amount, **money)
        for number, amount in enumerate(inputs.get("increments", []))
    ]
    await _post(world, *opened)
    first = await _open(world)
    at = _instant(inputs.get("capture_at"))
    if "expires_after_days" in inputs:
        since = _instant(inputs.get("authorized_at"))
        check_hold_open(expires_at=since + timedelta(days=inputs["expires_after_days"]), at=at)
    captures = list(inputs.get("captures", []))
    captures += [inputs["capture"]] if "capture" in inputs else []
    for number, amount in enumerate(captures, start=1):
        final = number == len(captures)
        await _post(world, _capture(f"op_{number}", await _open(world), amount, final=final))
    match inputs.get("then"):
        case None:
            pass
        case "void":
            await _post(
                world, templates.voided(operation_id="op_n", payment_id=_PAYMENT, holds=first)
            )
        case "expire":
            await _post(
                world, templates.expired(operation_id="op_n", payment_id=_PAYMENT, holds=first)
            )
        case "capture":
            await _post(world, _capture("op_n", first, first[0].amount_minor, final=True))
        case other:
            unknown_shape(f"then {other}")


def _capture(operation_id: str, holds: list[HoldLine], amount: int, *, final: bool) -> Posting:
    return templates.captured_from_hold(
        operation_id=operation_id,
        payment_id=_PAYMENT,
        holds=holds,
        amount_minor=amount,
        final=final,
    )


def _instant(text: str | None) -> datetime:
    return _AT if text is None else datetime.fromisoformat(text)


async def _strict(inputs: dict[str, Any], code: str, world: World) -> None:
    account = "vendor_payable:v"
    moves = (
        ("bank:main", account, inputs["credits_posted"], "posted"),
        (account, "bank:main", inputs["debits_posted"], "posted"),
        (account, "payouts_in_transit:v", inputs["pending_debit"], "pending"),
    )
    for number, (debited, credited, amount, phase) in enumerate(moves):
        if amount == 0:
            continue
        entries = [
            Entry(account=debited, direction="debit", amount_minor=amount, currency=code),
            Entry(account=credited, direction="credit", amount_minor=amount, currency=code),
        ]
        pending = phase == "pending"
        transfers = transfers_from_entries(entries, phase="pending" if pending else "posted")
        posting = Posting(transaction_id=f"t{number}", kind="example", transfers=transfers)
        async with world.database.tenant(world.context.tenant_id) as session:
            if pending:
                await post_strict(session, world.context.tenant_id, posting, at=_AT)
            else:
                await post(session, world.context.tenant_id, [posting], at=_AT)


async def _repeat(inputs: dict[str, Any], code: str, world: World) -> dict[str, Any]:
    def body(amount: int) -> Posting:
        rows = [
            {
                "account": account,
                "direction": direction,
                "amount": amount,
                "currency": code,
            }
            for account, direction in (("bank:main", "debit"), ("merchant_payable:m1", "credit"))
        ]
        return _posting(inputs["id"], rows)

    await _post(world, body(100))
    if inputs["repeat"] == "identical":
        (result,) = await _post(world, body(100))
    elif inputs["repeat"].startswith(("different", "other", "changed")):
        (result,) = await _post(world, body(101))
    else:
        unknown_shape(f"a repeat that is {inputs['repeat']}")
    lines = await Ledger(world.database).transfers_of(world.context, _PAYMENT)
    return {"result": result, "transactions": len({line.transaction_id for line in lines})}


async def _compare(expected: dict[str, Any], world: World) -> None:
    tenant_id = world.context.tenant_id
    for folded in (False, True):
        async with world.database.tenant(tenant_id) as session:
            if folded:
                await fold_tail(session, tenant_id)
            standing = await balances(session, tenant_id)
            trial = await trial_balance(session, tenant_id)
            faults = await broken(session, tenant_id)
        found = {
            "balances": {
                f"{each.account}/{each.currency}": each.balance
                for each in standing
                if each.posted_debits or each.posted_credits
            },
            "pending": {
                f"{each.account}/{each.currency}": {
                    "debits": each.pending_debits,
                    "credits": each.pending_credits,
                }
                for each in standing
                if each.pending_debits or each.pending_credits
            },
            "trial_balance": {
                each.currency: {"debits": each.debits, "credits": each.credits} for each in trial
            },
        }
        assert faults == []
        for name in _STATE & set(expected):
            assert found[name] == expected[name], name
