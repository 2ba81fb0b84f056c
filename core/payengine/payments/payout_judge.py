"""May a payout go out, as the fraud rules see it?"""

from __future__ import annotations

from datetime import datetime

from payengine.context import TenantContext
from payengine.fraud.stages import PayoutFacts, Stages
from payengine.marketplace.treasury import Judge, Judged, Payout

__all__ = ["payout_judge"]


def payout_judge(stages: Stages) -> Judge:
    """A judge that asks the rules of the stage `payout`; the seller is the account's id."""

    async def judge(context: TenantContext, payout: Payout, at: datetime) -> Judged:
        facts = PayoutFacts(
            payout_id=payout.id,
            seller=payout.account_id,
            amount_minor=payout.amount_minor,
            currency=payout.currency,
        )
        decision = await stages.judge_payout(context, facts, at=at)
        if decision is None:
            return "pass"
        match decision.decided.verdict:
            case "block" | "hard_block":
                return "refuse"
            case "review" | "challenge":
                return "hold"
            case _:
                return "pass"

    return judge
