"""Do states name their charges, and say when something is due?"""

from __future__ import annotations

from payengine.billing.dunning import begin_collection, step
from payengine.billing.dunning_policy import DunningPolicy
from payengine.billing.dunning_state import charge_key, next_due, subscription_standing
from payengine.billing.dunning_words import ChargeDeclined, CustomerCanceled

from tests.core.billing.dunning_walks import T0


def test_a_charge_is_named_by_its_invoice_and_number() -> None:
    assert charge_key("inv_1", 0) == "inv_1_a0"


def test_nothing_is_due_while_a_charge_is_out() -> None:
    state, _ = begin_collection("renewal", policy=DunningPolicy(), t0=T0)
    assert next_due(state) is None


def test_the_worst_invoice_counts() -> None:
    begun, _ = begin_collection("renewal", policy=DunningPolicy(), t0=T0)
    behind, _ = step(begun, ChargeDeclined(0, "insufficient_funds"), T0)
    ended, _ = step(begun, CustomerCanceled(), T0)
    first, _ = begin_collection("first", policy=DunningPolicy(), t0=T0)
    assert subscription_standing([]) == "active"
    assert subscription_standing([begun, behind]) == "past_due"
    assert subscription_standing([behind, ended]) == "canceled"
    assert subscription_standing([first]) == "incomplete"
