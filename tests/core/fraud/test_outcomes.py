"""What is learnt of a dispute, and when?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from payengine.fraud.outcomes import disputed_label, tells_of_fraud

_AT = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    "reason",
    ["fraudulent", "FRAUD", "UNAUTHORISED", "unauthorized_transaction", "10.4", "4837", "4863",
     "F29", "UA02", "MD01", " card absent fraud "],
)  # fmt: skip
def test_these_reasons_tell_of_fraud(reason: str) -> None:
    assert tells_of_fraud(reason)


@pytest.mark.parametrize(
    "reason",
    ["", "product_not_received", "13.1", "11.3", "4853", "duplicate", "credit_not_processed",
     "general", "10.40", "not fraudulent", "AC04"],
)  # fmt: skip
def test_these_do_not(reason: str) -> None:
    assert not tells_of_fraud(reason)


def _label(reason: str, before: str | None, *, won: bool = False) -> bool | None:
    found = disputed_label("pay_1", reason=reason, reason_before=before, won=won, at=_AT)
    if found is not None:
        assert (found.payment_id, found.observed_at, found.source) == ("pay_1", _AT, "dispute")
    return None if found is None else found.is_fraud


def test_it_is_known_from_the_instant_at_which_it_was_told() -> None:
    assert _label("fraudulent", None) is True
    assert _label("fraudulent", "general") is True
    assert _label("fraudulent", "fraudulent") is None
    assert _label("general", None) is None
    assert _label("fraudulent", "fraudulent", won=True) is False
    assert _label("general", "general", won=True) is None
