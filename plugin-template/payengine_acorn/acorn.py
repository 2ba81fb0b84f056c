"""Who is Acorn Pay? A made-up provider that keeps its books in memory: put a real client here."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import Any

__all__ = ["Acorn", "AcornError"]


class AcornError(Exception):
    """Acorn answers with an error."""


@dataclass
class _Charge:
    owner: str
    held: int
    taken: int = 0
    given_back: int = 0


class Acorn:
    """Acorn's servers, as far as a sketch needs them."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {}
        self._charges: dict[str, _Charge] = {}
        self._numbers = itertools.count(1)

    async def send(self, api_key: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Do what `body` asks, once for each key; raises `AcornError` for a reused key."""
        known = self._answers.get((api_key, key))
        if known is None:
            known = self._answers[api_key, key] = (body, self._judge(api_key, body))
            if body.get("card") == "card_silent":
                await asyncio.sleep(3600)
        if known[0] != body:
            raise AcornError("This key was used for another request.")
        return known[1]

    async def find(self, api_key: str, key: str) -> dict[str, Any] | None:
        """The answer that was given to `key`."""
        known = self._answers.get((api_key, key))
        return None if known is None else known[1]

    def _judge(self, owner: str, body: dict[str, Any]) -> dict[str, Any]:
        cents, action = int(body["cents"]), body["action"]
        reference = body.get("charge") or f"acorn_{next(self._numbers)}"
        reason = ""
        if action == "charge":
            reason = {"card_poor": "NSF", "card_lost": "LOST"}.get(body["card"], "")
            taken = cents if body["take"] else 0
            if not reason:
                self._charges[reference] = _Charge(owner, held=cents - taken, taken=taken)
        else:
            charge = self._charges.get(reference)
            if charge is None or charge.owner != owner:
                reason = "NO_SUCH_CHARGE"
            elif cents > (charge.taken - charge.given_back if action == "return" else charge.held):
                reason = "OVER_LIMIT"
            elif action == "return":
                charge.given_back += cents
            else:
                charge.held, charge.taken = 0, charge.taken + (cents if action == "take" else 0)
        return {
            "id": reference,
            "state": "refused" if reason else "ok",
            "reason": reason,
            "cents": cents,
            "currency": body["currency"],
            "taken": not reason and (action == "take" or bool(body.get("take"))),
        }
