"""Do the engine's books add up, whatever is asked of it in whatever order?"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from payengine_sandbox.cards import script_for
from payengine_sandbox.engine import Engine, reference_of
from payengine_sandbox.records import Command, Kind, Operation, ProviderError
from payengine_sandbox.settings import SandboxSettings
from payengine_sandbox.store import Store

ACCOUNT = "acct"
KEYS = 24
SETTINGS = SandboxSettings(pending_ms=2_000)
KINDS: tuple[Kind, ...] = ("authorize", "increment", "capture", "capture", "void", "refund")
TOKENS = ("tok_visa", "tok_magic", "tok_magic", "tok_pending", "tok_pending_declined")
AMOUNTS = (100, 200, 1_000, 3013, 3014, 3015, 6_500)

Step = tuple[Kind, int, int, int, bool, str, str]

#: Kind, how far back the key is reused (mostly not), amount, parent, flag, token, what follows.
steps = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from((0, 0, 0, 0, 0, 1, 2)),
        st.sampled_from(AMOUNTS),
        st.integers(0, 2),
        st.booleans(),
        st.sampled_from(TOKENS),
        st.sampled_from(("go on", "go on", "wait", "approve", "decline")),
    ),
    min_size=4,
    max_size=KEYS,
)


def command(place: int, step: Step) -> Command:
    """Keys 0 to 2 make the authorizations that the later ones build on."""
    kind, back, amount, parent, flag, token, _ = step
    if place < 3:
        kind, back = "authorize", 0
        amount = max(amount, 6_500) if place else amount
    return Command(
        kind=kind,
        key=f"k{max(place - back, 0)}",
        amount_minor=amount,
        currency="EUR",
        capture=flag,
        final=flag,
        token=token if kind == "authorize" else "",
        parent="" if kind == "authorize" else reference_of(account=ACCOUNT, key=f"k{parent}"),
    )


@settings(max_examples=300, deadline=None)
@given(steps=steps)
def test_the_sums_of_every_authorization_hold(steps: list[Step]) -> None:
    clock = [1_700_000_000_000_000]
    engine = Engine(Store(Path(":memory:")), clock=lambda: clock[0])
    answers: dict[Command, Operation] = {}
    for place, step in enumerate(steps):
        asked, then = command(place, step), step[-1]
        clock[0] += 1_000
        token = asked.token or engine.token_of(account=ACCOUNT, reference=asked.parent)
        script = script_for(asked.kind, token, asked.amount_minor)
        try:
            done = engine.perform(ACCOUNT, asked, SETTINGS, script)
        except ProviderError as refused:
            if refused.code != "idempotency_key_reused":
                raise
            continue
        first = answers.setdefault(asked, done)
        assert (done.reference, done.amount_minor) == (first.reference, first.amount_minor)
        if then == "wait":
            clock[0] += 5_000_000
        elif then != "go on":
            engine.decide(done.reference, approve=then == "approve")
    clock[0] += 5_000_000
    while engine.settle():
        pass
    check_books(engine, clock[0] + 1)
    engine.store.close()


def check_books(engine: Engine, until_us: int) -> None:
    found = [engine.find(account=ACCOUNT, key=f"k{number}") for number in range(KEYS)]
    operations = [operation for operation in found if operation is not None]
    assert all(operation.status != "pending" for operation in operations)
    moved: dict[str, int] = defaultdict(int)
    for line in engine.store.movements(ACCOUNT, after=(0, ""), until_us=until_us, limit=10_000):
        assert line.status == "succeeded"
        moved[line.parent or line.reference] += (
            -line.amount_minor if line.kind == "refund" else line.amount_minor
        )
    for root in operations:
        if root.kind != "authorize":
            continue
        assert 0 <= root.returned <= root.taken
        assert root.taken + root.released <= root.held
        assert min(root.taken, root.released) >= 0
        expected = root.taken - root.returned if root.status == "succeeded" else 0
        assert moved[root.reference] == expected
    assert set(moved) <= {root.reference for root in operations}
