"""What do the contract tests need to know about bank transfers?

Cases on the simulated bank: one whose debits are collected at once, one whose buyers transfer.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import msgspec
from payengine.plugin import (
    Authorize,
    Call,
    Outcome,
    PaymentMethod,
    PayoutDestination,
    WebhookRequest,
)
from payengine.testing import GatewayCase, RailCase

from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.gateway import BankTransferGateway
from payengine_bank_transfer.notices import Fact, Told, headers_of
from payengine_bank_transfer.payouts import BankRail
from payengine_bank_transfer.settings import BankTransferSettings, settings_of
from payengine_bank_transfer.simulated import BUYER_IBAN

__all__ = ["debit_case", "mandate_token", "rail_case", "simulated_settings", "transfer_case"]

_SIGNED = date(2026, 1, 31).isoformat()
_IN_MEMORY = Path(":memory:")


def simulated_settings() -> BankTransferSettings:
    """An account at the simulated bank."""
    return BankTransferSettings(
        rail="simulated",
        holder="Analytical Engines GmbH",
        iban="DE02120300000000202051",
        bic="BYLADEM1001",
        creditor_id="DE98ZZZ09999999999",
        notice_days=1,
        webhook_secret="whsec_YmFuay1jb250cmFjdA==",  # noqa: S106 - the simulated bank's
    )


def mandate_token(name: str, *, mandate: str, kind: str = "RCUR") -> str:
    """A mandate of the simulated bank's customer; the name says what the bank does."""
    return f"iban={BUYER_IBAN};name={name};mandate={mandate};signed={_SIGNED};type={kind}"


def debit_case(*, path: Path = _IN_MEMORY) -> GatewayCase:
    """Direct debits at the simulated bank."""
    return GatewayCase(
        gateway=BankTransferGateway(Desk(path=path)),
        settings=simulated_settings(),
        approved_token=mandate_token("Ada Lovelace", mandate="M-PAYS"),
        declined_token=mandate_token("Ada Declines AM04", mandate="M-DECLINES"),
        decline_code="insufficient_funds",
        pending_token=mandate_token("Ada Waits", mandate="M-WAITS"),
        make_timeout=_lose_answer,
        sign_webhook=_webhook,
        kind="sepa_debit",
    )


def rail_case(*, path: Path = _IN_MEMORY) -> RailCase:
    """Payouts at the simulated bank; what left is what the books have as handed in."""
    rail = BankRail(Desk(path=path))

    async def books(call: Call) -> list[str]:
        store = (await rail.desk.run(rail.desk.books)).store
        kept = [
            one
            for status in ("submitted", "booked")
            for one in store.in_status(call.account, status, limit=1_000)
        ]
        return [one.key for one in kept if one.kind == "payout"]

    def to(name: str) -> PayoutDestination:
        return PayoutDestination(kind="iban", number=BUYER_IBAN, holder=name)

    return RailCase(
        rail=rail,
        settings=simulated_settings(),
        pays=to("Ada Lovelace"),
        refuses=to("Ada Declines AC04"),
        books=books,
        deadline_ms=10_000,
    )


def transfer_case(*, path: Path = _IN_MEMORY) -> GatewayCase:
    """Buyers' transfers at the simulated bank."""
    return GatewayCase(
        gateway=BankTransferGateway(Desk(path=path)),
        settings=simulated_settings(),
        approved_token="simulated:paid",  # noqa: S106 - test tokens are names, no secrets
        declined_token="simulated:late",  # noqa: S106
        decline_code="try_again_later",
        challenge_token="bank_transfer",  # noqa: S106
        sign_webhook=_webhook,
        kind="bank_transfer",
    )


def _lose_answer(request: Authorize) -> Authorize:
    token = mandate_token("Ada Loses", mandate="M-LOSES")
    method = PaymentMethod(token=token, kind="sepa_debit")
    return msgspec.structs.replace(request, payment_method=method)


def _webhook(call: Call, request: Authorize, outcome: Outcome, at: datetime) -> WebhookRequest:
    reference = outcome.provider_reference or ""
    event_id = f"booked_{reference}"
    fact = Fact(
        reference=reference,
        kind="authorize",
        what="booked",
        amount_minor=request.amount.minor,
        key=request.key,
    )
    told = Told(id=event_id, account=call.account, created_at=at, fact=fact)
    body = msgspec.json.encode(told)
    headers = headers_of(
        event_id=event_id,
        body=body,
        secret=settings_of(call).webhook_secret,
        timestamp=int(at.timestamp()),
    )
    return WebhookRequest(headers=headers, body=body, received_at=at)
