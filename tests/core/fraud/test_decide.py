"""All verdicts together say the strongest, and a sum of none."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from payengine.fraud.decide import STRENGTH, Decided, Evaluated, decide, drawn
from payengine.plugin.fraud import RuleMode, VerdictKind

_KINDS: list[VerdictKind] = list(get_args(VerdictKind))
_MODES: list[RuleMode] = ["live", "shadow"]
_SAID = st.builds(
    Evaluated,
    rule=st.sampled_from("abcdef"),
    version=st.just(0),
    mode=st.sampled_from(_MODES),
    verdict=st.sampled_from(_KINDS),
    score=st.none() | st.floats(0, 1),
)


def _said(verdict: VerdictKind, *, rule: str = "a", mode: RuleMode = "live") -> Evaluated:
    return Evaluated(rule=rule, version=0, mode=mode, verdict=verdict)


def test_the_order_is_the_contracts() -> None:
    order = ["abstain", "allow", "review", "challenge", "block", "allow_list", "hard_block"]
    assert sorted(_KINDS, key=lambda kind: STRENGTH[kind]) == order


@given(st.lists(_SAID, max_size=12))
def test_the_strongest_live_verdict_stands_in_any_order(said: list[Evaluated]) -> None:
    live = [each for each in said if each.mode == "live"]
    decided = decide(said)
    strongest = max((STRENGTH[each.verdict] for each in live), default=0)
    assert STRENGTH[decided.verdict] == strongest
    assert decided.verdict == decide(reversed(said)).verdict
    assert sorted(decided.by) == sorted(
        each.rule for each in live if STRENGTH[each.verdict] == strongest
    )
    assert decided.score == max((e.score for e in live if e.score is not None), default=None)


@given(st.lists(_SAID, max_size=8), st.lists(_SAID, max_size=4))
def test_shadows_change_nothing(said: list[Evaluated], more: list[Evaluated]) -> None:
    shadows = [
        Evaluated(rule=each.rule, version=0, mode="shadow", verdict=each.verdict, score=each.score)
        for each in more
    ]
    assert decide([*said, *shadows]) == decide(said)


def test_many_weak_ones_are_no_strong_one() -> None:
    many = [_said("review", rule=str(number)) for number in range(50)]
    assert decide(many).verdict == "review"
    assert not decide(many).blocks


def test_all_allowed_is_not_all_abstained() -> None:
    assert decide([_said("allow"), _said("abstain", rule="b")]).verdict == "allow"
    assert decide([_said("abstain")]).verdict == "abstain"
    assert decide([]) == Decided(verdict="abstain")


def test_an_allow_list_overrules_a_block_but_no_hard_one() -> None:
    assert not decide([_said("block"), _said("allow_list", rule="b")]).blocks
    assert decide([_said("hard_block"), _said("allow_list", rule="b")]).blocks


def test_who_is_drawn_is_drawn_again_and_about_as_many_as_asked() -> None:
    names = [f"pay_{number}" for number in range(20_000)]
    first = [name for name in names if drawn(name, share=0.01)]
    assert first == [name for name in names if drawn(name, share=0.01)]
    assert 120 <= len(first) <= 280
    assert not any(drawn(name, share=0.0) for name in names)
    assert all(drawn(name, share=1.0) for name in names[:100])
