"""Does the Stripe gateway keep the contract, with and without the flexible features?"""

from __future__ import annotations

from typing import ClassVar

import pytest
from fake_stripe_process import FakeStripe, api_key, losing_the_answer
from payengine.testing import GatewayCase, GatewayContract
from payengine_stripe import conformance
from payengine_stripe.samples import CHECK_KEY_VARIABLE, stripe_case


class TestStripe(GatewayContract):
    """An account with multicapture and increments: every check applies."""

    url: ClassVar[str]
    flexible: ClassVar[bool] = True

    @pytest.fixture(autouse=True)
    def _know_the_fake(self, fake: FakeStripe) -> None:
        type(self).url = fake.url

    def case(self) -> GatewayCase:
        """A new account at the fake."""
        return stripe_case(
            api_key=api_key(flexible=self.flexible),
            api_base=self.url,
            make_timeout=losing_the_answer,
            pending_token="pm_fake_processing",
            flexible=self.flexible,
        )


class TestPlainStripe(TestStripe):
    """An account as most are: one capture, and no increments."""

    flexible = False


def test_without_a_test_key_nobody_asks_stripe_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHECK_KEY_VARIABLE, raising=False)
    assert conformance() == []
    monkeypatch.setenv(CHECK_KEY_VARIABLE, "sk_live_never")
    assert conformance() == []
    monkeypatch.setenv(CHECK_KEY_VARIABLE, "sk_test_key")
    assert [case.manifest.name for case in conformance()] == ["stripe"]
