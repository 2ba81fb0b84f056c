"""Is the first gateway that can take the payment chosen, and does the choice explain itself?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from payengine.plugin import Manifest, supports
from payengine.routing import Candidate, choose

_CURRENCIES = ("EUR", "JPY", "USD")
_METHODS = ("card", "wallet")


def _candidate(
    name: str, *, currencies: tuple[str, ...] = (), methods: tuple[str, ...] = ("card",)
) -> Candidate:
    manifest = Manifest(name=name, title=name, version="1", currencies=currencies, methods=methods)
    return Candidate(name=name, manifest=manifest)


def test_the_first_by_name_that_takes_it_is_chosen() -> None:
    found = choose(
        [
            _candidate("d"),
            _candidate("c"),
            _candidate("b", methods=("wallet",)),
            _candidate("a", currencies=("USD",)),
        ],
        currency="EUR",
        method="card",
    )
    assert found is not None
    assert found.gateway == "c"
    assert found.explanation == {
        "rule": "first_that_supports",
        "passed_over": {"a": "currency", "b": "method"},
    }


def test_where_none_takes_it_none_is_chosen() -> None:
    assert choose([], currency="EUR", method="card") is None
    assert choose([_candidate("a")], currency="EUR", method="wallet") is None


@given(
    st.lists(
        st.builds(
            _candidate,
            st.text("abcdef", min_size=1, max_size=3),
            currencies=st.lists(st.sampled_from(_CURRENCIES), max_size=2).map(tuple),
            methods=st.lists(st.sampled_from(_METHODS), min_size=1, max_size=2).map(tuple),
        ),
        max_size=6,
        unique_by=lambda each: each.name,
    ),
    st.sampled_from(_CURRENCIES),
    st.sampled_from(_METHODS),
)
def test_the_choice_can_take_it_and_does_not_depend_on_the_order(
    candidates: list[Candidate], currency: str, method: str
) -> None:
    able = [c.name for c in candidates if supports(c.manifest, currency=currency, method=method)]
    found = choose(candidates, currency=currency, method=method)
    assert (found.gateway if found else None) == (min(able) if able else None)
    candidates.reverse()
    assert choose(candidates, currency=currency, method=method) == found
