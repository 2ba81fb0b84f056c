"""Whose money is it?

Two shops sell for vendors: most of what their buyers pay is divided, and the vendors are paid out
all the time, by the sandbox's rail, to accounts of which some are closed and some lose answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.acceptance.crash.client import Client, Refused
from tests.acceptance.crash.memory import STEP, Memory, Shop

__all__ = ["Market"]

_VENDORS = 2
_DIVIDED = 0.8
_TOKENS = (
    *["acct_ok"] * 3,
    "acct_instant",
    "acct_lost_answer",
    "acct_lost_answer",
    "acct_lost_request",
    "acct_down",
    "acct_closed",
)
_MOVES = 0.3
#: What may be answered: nothing was sold yet, or the account was closed meanwhile.
_EXPECTED = frozenset({"INSUFFICIENT_AVAILABLE_BALANCE", "PAYOUTS_NOT_ENABLED", "INPUT_INVALID"})


@dataclass
class Market:
    """A shop with vendors."""

    client: Client
    memory: Memory
    shop: Shop
    chance: Random
    vendors: list[str] = field(default_factory=list)
    _asked: int = 0

    async def open(self) -> None:
        """Have the vendors, each with an account that the money goes to."""
        for number in range(_VENDORS):
            made = await self._make(
                "createConnectedAccount",
                "account",
                f"vendor{number}",
                reference=f"vendor {number}",
                country="DE",
                defaultCurrency=self.shop.currency,
            )
            account = {"accountId": made["id"]}
            await self._make("submitConnectedAccount", "account", f"submit{number}", **account)
            await self._make(
                "decideOnboarding",
                "account",
                f"decide{number}",
                **account,
                verdict="VERIFIED",
                person="Ada",
            )
            self.vendors.append(made["id"])
            await self._move(made["id"], "acct_ok")

    def split(self, chance: Random) -> dict[str, Any] | None:
        """How the next payment is divided; None where it is not."""
        if chance.random() >= _DIVIDED:
            return None
        return {
            "shares": [
                {"accountId": self.vendors[0], "percentBps": 6_000},
                {"accountId": self.vendors[1], "percentBps": chance.choice((1_500, 3_333))},
                {"remainder": True},
            ]
        }

    async def come(self) -> None:
        """A vendor is paid out, to another account now and then."""
        account_id = self.chance.choice(self.vendors)
        amount = self.chance.choice((None, STEP // 10, STEP // 7))
        given: dict[str, Any] = {"accountId": account_id, "currency": self.shop.currency}
        if amount is not None:
            given["amount"] = {"amountMinor": amount, "currency": self.shop.currency}
        try:
            if self.chance.random() < _MOVES:
                await self._move(account_id, self.chance.choice(_TOKENS))
            await self._pay_out(account_id, given)
        except Refused as refused:
            self.memory.surprises.append(f"a market of {self.shop.tenant_id}: {refused}")

    async def _pay_out(self, account_id: str, given: Mapping[str, Any]) -> None:
        try:
            made = await self._make("createPayout", "payout", self._name("payout"), **given)
        except Refused as refused:
            if str(refused) not in _EXPECTED:
                raise
            if str(refused) == "PAYOUTS_NOT_ENABLED":
                await self._move(account_id, "acct_ok")
            return
        self.memory.made[made["id"]] = self.shop
        if made["status"] == "HELD":
            # The sellers are new and the amounts high: the fraud rules ask for a person.
            await self._make(
                "releasePayout",
                "payout",
                self._name("release"),
                payoutId=made["id"],
                person="Ada",
                reason="They are known.",
            )

    async def _move(self, account_id: str, token: str) -> None:
        await self._make(
            "savePayoutDestination",
            "destination",
            self._name("destination"),
            accountId=account_id,
            currency=self.shop.currency,
            rail="sandbox",
            kind="token",
            number=token,
        )

    def _name(self, what: str) -> str:
        self._asked += 1
        return f"{what}{self._asked}"

    async def _make(self, mutation: str, made: str, key: str, **given: Any) -> Any:
        return await self.client.make(self.shop.api_key, mutation, made, key, **given)
