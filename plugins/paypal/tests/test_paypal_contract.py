"""Does the plugin keep every promise of the contract, also when PayPal has a bad day?"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import ClassVar

import pytest
from fake_paypal import FakePayPal
from msgspec.structs import replace
from payengine.plugin import (
    Amount,
    Authorize,
    Call,
    Lookup,
    Outcome,
    PaymentMethod,
    WebhookRequest,
)
from payengine.testing import Chaos, ChaosGateway, GatewayCase, GatewayContract
from payengine_paypal.gateway import PayPalGateway

pytest_plugins = ("paypal_account",)


@pytest.fixture(scope="module", autouse=True)
def fake(paypal: FakePayPal) -> FakePayPal:
    Contract.fake = paypal
    return paypal


class Contract(GatewayContract):
    """The checks against a merchant of their own each."""

    fake: ClassVar[FakePayPal]
    more: ClassVar[dict[str, str]] = {}

    def case(self) -> GatewayCase:
        self.fake.ask("set", faults={}, pending_s=0.2)
        merchant = f"m{uuid.uuid4().hex}"

        def sign(call: Call, request: Authorize, outcome: Outcome, at: datetime) -> WebhookRequest:
            (found,) = (
                event
                for event in self.fake.events(merchant, at=at.isoformat())
                if f'"custom_id": "{request.key}"' in event["body"]
            )
            return WebhookRequest(
                headers=found["headers"], body=found["body"].encode(), received_at=at
            )

        def lose(request: Authorize) -> Authorize:
            # Carried out, and the connection ends before the answer; the lookup's own is read.
            self.fake.ask("set", faults={"seed": 1, "rates": {"reset_after": 500}})
            for _ in range(64):
                lost = replace(request, key=f"lost-{uuid.uuid4().hex}")
                if _is_lost_once(lost.key):
                    return lost
            raise AssertionError("no key meets the fault")

        return GatewayCase(
            gateway=PayPalGateway(),
            settings=self.fake.settings(merchant, **self.more),
            approved_token="vault_ok",
            declined_token="issue_PAYER_CANNOT_PAY",
            decline_code="not_permitted",
            challenge_token="paypal",
            pending_token="vault_pending",
            make_timeout=lose,
            sign_webhook=sign,
            account=merchant,
            kind="paypal",
            deadline_ms=8_000,
        )


def _is_lost_once(key: str) -> bool:
    from fake_paypal_faults import Faults

    faults = Faults(seed=1, rates={"reset_after": 500})
    kind = "/v2/checkout/orders"
    return [faults.strike("POST", kind, key) for _ in range(2)] == ["reset_after", None]


class TestPayPal(Contract):
    """Webhooks checked against the certificate that they name."""


class TestPayPalAsking(Contract):
    """Webhooks checked by asking PayPal."""

    more: ClassVar[dict[str, str]] = {"webhook_verification": "api"}


class TestPayPalCards(Contract):
    """A card in PayPal's vault that its bank declines."""

    def case(self) -> GatewayCase:
        cards = {"declined_token": "vault_card_5400", "decline_code": "expired_card"}
        made = super().case()
        return GatewayCase(
            **{name: getattr(made, name) for name in GatewayCase.__dataclass_fields__}
            | cards
            | {"kind": "paypal_card", "challenge_token": None}
        )


@pytest.mark.parametrize("seed", range(12))
async def test_what_chaos_hides_a_lookup_or_the_same_key_finds(fake: FakePayPal, seed: int) -> None:
    """Whatever happens on the way: asked long enough, the key has been charged exactly once."""
    merchant = f"m{uuid.uuid4().hex}"
    chaos = Chaos(seed=seed, error_before=150, error_after=150, garbage=100, not_sent=50)
    fake.ask(
        "set",
        faults={
            "seed": seed,
            "rates": {"error_before": 80, "error_after": 80, "reset_before": 50, "reset_after": 80},
        },
    )
    gateway = ChaosGateway(PayPalGateway(), chaos)
    call = Call(account=merchant, settings=fake.settings(merchant), deadline_ms=4_000)
    requests = [
        Authorize(
            key=f"{seed}-{number}-{uuid.uuid4().hex}",
            amount=Amount(1_000 + number, "EUR"),
            capture=True,
            payment_method=PaymentMethod(token="vault_ok", kind="paypal"),
            payment_id=f"pay_{seed}_{number}",
        )
        for number in range(8)
    ]
    for request in requests:
        for _ in range(40):
            try:
                outcome = await gateway.authorize(call, request)
                if isinstance(outcome, Outcome) and outcome.status == "succeeded":
                    break
                found = await gateway.lookup(call, Lookup(key=request.key, kind="authorize"))
                if found.status == "succeeded":
                    break
            except Exception:
                continue
        else:
            raise AssertionError(f"{request.key} never came to an end")
    taken = {row["key"]: row["captures"] for row in fake.sums(merchant)}
    assert taken == {
        request.key: [[request.payment_id, request.amount.minor]] for request in requests
    }
    await gateway.aclose()
