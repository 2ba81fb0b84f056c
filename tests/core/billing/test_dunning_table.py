"""Is the table of phases what the machine does, and the page what the table says?"""

from __future__ import annotations

import typing
from collections import defaultdict
from pathlib import Path

from payengine.billing.dunning_table import DUNNING_TRANSITIONS, state_diagram, transition_table
from payengine.billing.dunning_words import Action, CollectionPhase, DunningEvent

from tests.core.billing.dunning_walks import walks

_PAGE = Path(__file__).parents[3] / "docs" / "dunning.md"

#: So many that the rarest move is among them.
_WALKS = 4_000


def _tag(event: DunningEvent | Action) -> str:
    return str(event.__struct_config__.tag)


def test_the_machine_makes_the_moves_of_the_table_and_no_others() -> None:
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for walk in walks(_WALKS):
        for stride in walk.strides:
            if stride.after != stride.before or stride.actions:
                found[stride.before.phase][_tag(stride.event)].add(stride.after.phase)
    told = {
        phase: {event: set(targets) for event, targets in moves.items()}
        for phase, moves in DUNNING_TRANSITIONS.items()
    }
    assert {phase: dict(moves) for phase, moves in found.items()} == told


def test_the_table_has_every_phase_and_no_other_event() -> None:
    assert tuple(DUNNING_TRANSITIONS) == typing.get_args(CollectionPhase)
    events = {str(event.__struct_config__.tag) for event in typing.get_args(DunningEvent)}
    assert {event for moves in DUNNING_TRANSITIONS.values() for event in moves} == events


def test_the_page_shows_the_table_and_the_diagram() -> None:
    page = _PAGE.read_text(encoding="utf-8")
    assert f"```mermaid\n{state_diagram()}\n```" in page
    assert transition_table() in page


def test_the_page_names_every_phase() -> None:
    page = _PAGE.read_text(encoding="utf-8")
    for phase in DUNNING_TRANSITIONS:
        assert f"\n| `{phase}` | " in page
