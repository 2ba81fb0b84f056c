"""What does a step of a payment do to its owners' parts?

Pure. The engine books a capture, a refund and a dispute against the platform's one account; here
each becomes the movements between that account and the owners'. A source says how much of it should
by now have been shared; the difference to what was shared is one further step, forward or back.
What goes back is the mirror image of what came, so that a step undone leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec

from payengine.ledger import Posting
from payengine.ledger.moves import Move, posting_of
from payengine.marketplace.disputes import dispute_shares, no_longer_refundable
from payengine.marketplace.disputes import refund_shares as _refund_fee
from payengine.marketplace.postings import PLATFORM, escrow_account, vendor_account
from payengine.marketplace.sharing_models import Movement, Part, Phase, Source, Split, Step
from payengine.marketplace.splits import pull_back
from payengine.money import allocate, round_half_away

__all__ = ["MERCHANT", "Shared", "owner_account", "share", "step_posting"]

#: Where the engine books what it takes and gives for the tenant as a whole.
MERCHANT = "merchant_payable:main"

_RECOVERY = "processor_fee_recovery"

_FORWARD: dict[str, Phase] = {
    "capture": "captured",
    "refund": "refunded",
    "dispute": "disputed",
    "dispute_fee": "dispute_fee",
}
_BACK: dict[str, Phase] = {
    "refund": "refund_failed",
    "dispute": "dispute_won",
    "dispute_fee": "dispute_fee_returned",
}


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """The rows after some steps."""

    split: Split
    parts: tuple[Part, ...]
    steps: tuple[Step, ...] = ()


class _Change(msgspec.Struct, frozen=True):
    """For each part: what becomes refundable (or no longer), and what moves."""

    refundable: Sequence[int]
    moved: Sequence[Movement]


def owner_account(part: Part) -> str:
    """Where the part's owner gets it."""
    return PLATFORM if part.account_id is None else vendor_account(part.account_id)


def share(
    split: Split,
    parts: Sequence[Part],
    done: Sequence[Step],
    sources: Sequence[Source],
    *,
    at: datetime,
) -> Shared:
    """Every step that is missing, and the rows as they are after them."""
    standing = Shared(split=split, parts=tuple(parts))
    steps = list(done)
    for source in sources:
        names = {_FORWARD[source.kind], _BACK.get(source.kind, "")}
        own = [s for s in steps if s.operation_id == source.operation_id and s.phase in names]
        shared = sum(
            each.amount_minor if each.phase == _FORWARD[source.kind] else -each.amount_minor
            for each in own
        )
        missing = source.amount_minor - shared
        if missing == 0 or (missing < 0 and source.kind == "capture"):
            continue
        change = (
            _forward(standing, steps, source, missing)
            if missing > 0
            else _backward(standing, own, part=-missing, of=shared)
        )
        step = Step(
            operation_id=source.operation_id,
            phase=_FORWARD[source.kind] if missing > 0 else _BACK[source.kind],
            round=len(own),
            payment_id=split.payment_id,
            attempt_id=source.attempt_id,
            amount_minor=abs(missing),
            refundable=tuple(
                (part.refundable_minor, delta)
                for part, delta in zip(standing.parts, change.refundable, strict=True)
            ),
            moved=tuple(each for each in change.moved if each.amount_minor),
            created_at=at,
            captured_at=source.captured_at,
        )
        steps.append(step)
        standing = _after(standing, source, step)
    return standing


def _forward(standing: Shared, steps: Sequence[Step], source: Source, amount: int) -> _Change:
    if source.kind == "capture":
        return _captured(standing, source, amount)
    if source.kind == "refund":
        return _refunded(standing, steps, source, amount)
    if source.kind == "dispute":
        return _disputed(standing, amount)
    return _charged_fee(standing, steps, source, amount)


def _captured(standing: Shared, source: Source, amount: int) -> _Change:
    """What was planned, in proportion; the last capture brings what is left of every part.

    What exceeds the plan is nobody's part: it stays with the platform's one account.
    """
    split, parts = standing.split, standing.parts
    if source.asked:
        shares = _fitted([source.asked.get(part.number, 0) for part in parts], amount)
    else:
        planned = [max(part.planned_minor - part.captured_minor, 0) for part in parts]
        came = min(amount, sum(planned))
        shares = pull_back(planned, came) if came > 0 else [0] * len(parts)
    moved = []
    for part, minor in zip(parts, shares, strict=True):
        account = escrow_account(split.escrow_id) if split.escrow_id else owner_account(part)
        moved.append(Movement(part.number, account, MERCHANT, minor))
    return _Change(shares, moved)


def _fitted(asked: Sequence[int], amount: int) -> list[int]:
    """As it was asked; in proportion where another amount moved than was asked."""
    if sum(asked) == amount or not any(asked):
        return list(asked)
    return list(allocate(min(amount, sum(asked)), asked))


def _refunded(standing: Shared, steps: Sequence[Step], source: Source, amount: int) -> _Change:
    parts = standing.parts
    refundable = [part.refundable_minor for part in parts]
    if _was_nobodys(steps, source) or not any(refundable):
        return _Change([0] * len(parts), [])
    amount = min(amount, sum(refundable))
    if source.asked:
        asked = [source.asked.get(part.number, 0) for part in parts]
        reversal = [min(one, left) for one, left in zip(asked, refundable, strict=True)]
        reversal = _capped(reversal, amount)
        left = [one - taken for one, taken in zip(refundable, reversal, strict=True)]
        if rest := amount - sum(reversal):
            reversal = [a + b for a, b in zip(reversal, pull_back(left, rest), strict=True)]
        held = [min(one, part.escrowed_minor) for one, part in zip(reversal, parts, strict=True)]
    else:
        reversal, held = _proportional(standing, refundable, amount)
    moved = list(_taken(standing, reversal, held))
    moved += _fee_passed_on(standing, refundable, amount)
    return _Change([-one for one in reversal], moved)


def _capped(amounts: Sequence[int], most: int) -> list[int]:
    return list(allocate(most, amounts)) if sum(amounts) > most else list(amounts)


def _proportional(
    standing: Shared, refundable: Sequence[int], amount: int
) -> tuple[list[int], list[int]]:
    """What each part gives back, and how much of that out of escrow, which gives first."""
    held = [min(part.escrowed_minor, part.refundable_minor) for part in standing.parts]
    out = [one - kept for one, kept in zip(refundable, held, strict=True)]
    first = min(amount, sum(held))
    from_held = _pulled(standing, held, first)
    from_out = _pulled(standing, out, amount - first)
    return [a + b for a, b in zip(from_held, from_out, strict=True)], from_held


def _pulled(standing: Shared, remaining: Sequence[int], amount: int) -> list[int]:
    if amount <= 0:
        return [0] * len(remaining)
    platform = _platform(standing.parts)
    if standing.split.fee_policy == "keep" and platform is not None:
        return pull_back(remaining, amount, fee_policy="keep", fee_part=platform)
    return pull_back(remaining, amount)


def _platform(parts: Sequence[Part]) -> int | None:
    return next((i for i, part in enumerate(parts) if part.account_id is None), None)


def _was_nobodys(steps: Sequence[Step], source: Source) -> bool:
    """Whether what this refund gives back was no part's: a charge that nobody can use."""
    own = [s for s in steps if s.phase == "captured" and s.attempt_id == source.attempt_id]
    return bool(own) and not any(each.moved for each in own)


def _taken(standing: Shared, amounts: Sequence[int], held: Sequence[int]) -> Iterable[Movement]:
    """Out of each part: `held` of it from escrow, the rest from its owner."""
    for part, amount, kept in zip(standing.parts, amounts, held, strict=True):
        if kept and standing.split.escrow_id:
            escrow = escrow_account(standing.split.escrow_id)
            yield Movement(part.number, escrow, MERCHANT, -kept)
            amount -= kept
        yield Movement(part.number, owner_account(part), MERCHANT, -amount)


def _fee_passed_on(standing: Shared, refundable: Sequence[int], amount: int) -> Iterable[Movement]:
    """What the processor keeps of its fee, from those who are to bear it."""
    split, parts = standing.split, standing.parts
    gone = sum(part.captured_minor - part.refundable_minor for part in parts) + amount
    captured = sum(part.captured_minor for part in parts)
    if split.fee_bearer == "platform" or split.fee_minor == 0 or captured == 0:
        return []
    lost = round_half_away(split.fee_minor * gone, denominator=captured) - split.fee_shared
    if lost <= 0:
        return []
    platform = _platform(parts)
    shares = _refund_fee(
        amount,
        remaining=refundable,
        fee_minor=lost,
        # Without a part of the platform's, all are vendors'.
        fee_bearer="split_ratio" if platform is None else split.fee_bearer,
        platform_part=platform or 0,
    ).fee
    return [
        Movement(part.number, owner_account(part), _RECOVERY, -fee)
        for part, fee in zip(parts, shares, strict=True)
    ]


def _disputed(standing: Shared, amount: int) -> _Change:
    parts = standing.parts
    refundable = [part.refundable_minor for part in parts]
    shares = _liable(standing, amount, 0, refundable).disputed
    gone = no_longer_refundable(refundable, shares)
    held = [min(one, part.escrowed_minor) for one, part in zip(shares, parts, strict=True)]
    return _Change([-one for one in gone], list(_taken(standing, shares, held)))


def _charged_fee(standing: Shared, steps: Sequence[Step], source: Source, amount: int) -> _Change:
    """By the weights by which the dispute itself was borne when it was opened."""
    parts = standing.parts
    opened = next(
        (s for s in steps if s.operation_id == source.operation_id and s.phase == "disputed"), None
    )
    weights = (
        [part.refundable_minor for part in parts]
        if opened is None
        else [before for before, _ in opened.refundable]
    )
    weights += [0] * (len(parts) - len(weights))
    shares = _liable(standing, max(source.disputed_minor, 1), amount, weights).fee
    moved = [
        Movement(part.number, owner_account(part), MERCHANT, -fee)
        for part, fee in zip(parts, shares, strict=True)
    ]
    return _Change([0] * len(parts), moved)


class _Borne(msgspec.Struct, frozen=True):
    disputed: Sequence[int]
    fee: Sequence[int]


def _liable(standing: Shared, disputed: int, fee: int, remaining: Sequence[int]) -> _Borne:
    platform = _platform(standing.parts)
    liability = standing.split.liability
    if platform is None:
        # Without a part of the platform's, all are vendors'.
        liability, platform = "split_ratio", 0
    elif len(standing.parts) == 1:
        liability = "split_ratio"
    borne = dispute_shares(
        disputed, fee, liability=liability, remaining=remaining, platform_part=platform
    )
    return _Borne(borne.disputed, borne.fee)


def _backward(standing: Shared, own: Sequence[Step], *, part: int, of: int) -> _Change:
    """`part` of the `of` minor units that were shared go back the way they came."""
    moved: dict[tuple[int, str, str], int] = {}
    refundable = [0] * len(standing.parts)
    for step in own:
        for each in step.moved:
            key = (each.number, each.account, each.counter)
            moved[key] = moved.get(key, 0) + each.amount_minor
        for index, (_, delta) in enumerate(step.refundable):
            refundable[index] += delta
    back = _portion([-one for one in moved.values()], part=part, of=of)
    movements = [
        Movement(*key, amount_minor=amount) for key, amount in zip(moved, back, strict=True)
    ]
    return _Change(_portion([-one for one in refundable], part=part, of=of), movements)


def _portion(amounts: Sequence[int], *, part: int, of: int) -> list[int]:
    """All of them where everything goes back; else the same portion of their sum, by weight."""
    weights = [max(one, 0) for one in amounts]
    total = sum(weights)
    if part >= of or total == 0:
        return list(amounts)
    return list(allocate(round_half_away(total * part, denominator=of), weights))


def _after(standing: Shared, source: Source, step: Step) -> Shared:
    """The rows once the step is written."""
    split = standing.split
    escrow = escrow_account(split.escrow_id) if split.escrow_id else None
    is_capture = step.phase == "captured"
    parts = []
    for index, part in enumerate(standing.parts):
        own = [each for each in step.moved if each.number == part.number]
        kept = sum(each.amount_minor for each in own if each.account == escrow)
        delta = step.refundable[index][1]
        parts.append(
            msgspec.structs.replace(
                part,
                captured_minor=part.captured_minor + (delta if is_capture else 0),
                refundable_minor=part.refundable_minor + delta,
                escrowed_minor=part.escrowed_minor + kept,
            )
        )
    passed_on = -sum(each.amount_minor for each in step.moved if each.counter == _RECOVERY)
    came = sum(delta for _, delta in step.refundable) if is_capture else 0
    split = msgspec.structs.replace(
        split,
        settled_minor=split.settled_minor + came,
        fee_minor=split.fee_minor + (source.fee_minor if is_capture else 0),
        fee_shared=split.fee_shared + passed_on,
        sold_at=split.sold_at or ((step.captured_at or step.created_at) if came else None),
    )
    return Shared(split=split, parts=tuple(parts), steps=(*standing.steps, step))


_KINDS: Callable[[Phase], str] = "split.{}".format


def step_posting(step: Step, *, currency: str) -> Posting | None:
    """The step as it is booked; None where nothing moved."""
    moves = [
        Move(each.counter, each.account, each.amount_minor, currency)
        if each.amount_minor > 0
        else Move(each.account, each.counter, -each.amount_minor, currency)
        for each in step.moved
    ]
    if not moves:
        return None
    return posting_of(
        moves,
        transaction_id=f"{step.operation_id}:split:{step.phase}:{step.round}",
        kind=_KINDS(step.phase),
        payment_id=step.payment_id,
    )
