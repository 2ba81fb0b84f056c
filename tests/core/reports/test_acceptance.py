"""Are attempts and payments counted as they were, and nothing that no issuer saw?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from payengine.reports.acceptance import (
    AttemptLine,
    authorisation_rate,
    authorisation_rate_by,
    dispute_rate,
)

_ATTEMPTS = st.lists(
    st.builds(
        AttemptLine,
        payment=st.sampled_from("abcdef"),
        result=st.sampled_from(["approved", "do_not_honor", None]),
        not_sent=st.sampled_from([None, None, "fraud_block"]),
        traits=st.fixed_dictionaries({"brand": st.sampled_from(["visa", None])}),
    ),
    max_size=20,
)


def counted(fraction: str) -> tuple[int, int]:
    """Numerator and denominator as they stand."""
    part, _, whole = fraction.partition("/")
    return int(part), int(whole)


@given(_ATTEMPTS)
def test_groups_add_up_to_the_whole(attempts: list[AttemptLine]) -> None:
    whole = authorisation_rate(attempts)
    groups = authorisation_rate_by(attempts, "brand").values()
    raw = [counted(each.raw.fraction) for each in groups]
    assert counted(whole.raw.fraction) == (sum(a for a, _ in raw), sum(b for _, b in raw))
    approved, payments = counted(whole.net.fraction)
    assert approved <= payments <= len({each.payment for each in attempts})
    assert all(b > 0 for _, b in raw)


def test_an_attempt_without_an_answer_is_none() -> None:
    for attempt in (
        AttemptLine(payment="a", result=None),
        AttemptLine(payment="a", result="declined", not_sent="fraud_block"),
    ):
        found = authorisation_rate([attempt])
        assert (found.raw.fraction, found.raw.bps) == ("0/0", None)


def test_no_payments_have_no_dispute_rate() -> None:
    found = dispute_rate(payments_in_month=0, disputes_received=3, disputes_on_payments=0)
    assert (found.activity.fraction, found.activity.bps) == ("3/0", None)
