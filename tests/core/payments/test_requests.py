"""Is what is asked of a gateway complete, and the same each time?"""

from __future__ import annotations

import pytest
from payengine.payments.requests import lookup_request, step_request
from payengine.plugin import Amount

from tests.core.payments.histories import START, operation


@pytest.mark.parametrize(
    ("own", "expected"), [(None, "their_hold"), ("their_refund", "their_refund")]
)
def test_a_lookup_names_the_operation_or_else_what_it_belongs_to(
    own: str | None, expected: str
) -> None:
    request = step_request(
        "refund", key="ref_1", provider_reference="their_hold", amount=Amount(5, "EUR")
    )
    refund = operation(id="ref_1", kind="refund", request=request, provider_reference=own)
    asked = lookup_request(refund)
    assert (asked.key, asked.kind) == ("ref_1", "refund")
    assert asked.provider_reference == expected
    assert asked.sent_at == START


def test_an_authorization_that_nobody_answered_has_no_reference() -> None:
    asked = lookup_request(operation())
    assert (asked.kind, asked.provider_reference) == ("authorize", None)
