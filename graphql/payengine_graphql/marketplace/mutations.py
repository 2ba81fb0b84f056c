"""What may be done about accounts, rules, escrows and transfers?"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

import strawberry
from payengine.marketplace.connected_models import ConnectedAccount as AccountRow
from payengine.marketplace.room import Marketplace
from payengine.marketplace.sharing_models import EscrowHold
from payengine.marketplace.sharing_models import SplitRule as RuleRow
from payengine.marketplace.transferring import AccountTransfer as TransferRow

from payengine_graphql.context import Wire
from payengine_graphql.guarded import guarded
from payengine_graphql.marketplace import inputs, payloads
from payengine_graphql.marketplace.types import (
    show_account,
    show_account_transfer,
    show_escrow,
    show_split_rule,
)
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_AccountT = TypeVar("_AccountT", bound=payloads.ConnectedAccountPayload)
_EscrowT = TypeVar("_EscrowT", bound=payloads.EscrowPayload)
_RuleT = TypeVar("_RuleT", bound=payloads.SplitRulePayload)

_INPUT = strawberry.argument(description="What is asked.")
_SCOPE = "accounts:write"
_NEEDS = " Needs the scope `accounts:write`."


def _room(info: Wire) -> Marketplace:
    return info.context.engine.marketplace


async def _account(
    info: Wire, name: str, step: str, given: Any, payload: type[_AccountT]
) -> _AccountT:
    """Take one step of an account by the service's method of that name."""

    async def work() -> AccountRow:
        done: Awaitable[AccountRow] = getattr(_room(info).accounts, step)(
            info.context.tenant, given.to_core()
        )
        return await done

    row, errors = await guarded(info, name, given, work, scope=_SCOPE)
    return payload(account=show_account(row) if row else None, errors=errors)


async def _escrow(
    info: Wire, name: str, step: str, given: Any, payload: type[_EscrowT]
) -> _EscrowT:
    async def work() -> EscrowHold:
        done: Awaitable[EscrowHold] = getattr(_room(info).escrows, step)(
            info.context.tenant, given.to_core()
        )
        return await done

    row, errors = await guarded(info, name, given, work, scope=_SCOPE)
    return payload(escrow=show_escrow(row) if row else None, errors=errors)


async def _rule(info: Wire, name: str, step: str, given: Any, payload: type[_RuleT]) -> _RuleT:
    async def work() -> RuleRow:
        done: Awaitable[RuleRow] = getattr(_room(info).rules, step)(
            info.context.tenant, given.to_core()
        )
        return await done

    row, errors = await guarded(info, name, given, work, scope=_SCOPE)
    return payload(rule=show_split_rule(row) if row else None, errors=errors)


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Begin a vendor's onboarding." + _NEEDS)
    async def create_connected_account(
        self, info: Wire, input: Annotated[inputs.CreateConnectedAccountInput, _INPUT]
    ) -> payloads.CreateConnectedAccountPayload:
        """See `payengine.marketplace.connected`."""
        return await _account(
            info, "createConnectedAccount", "create", input, payloads.CreateConnectedAccountPayload
        )

    @mutation("Change a vendor's terms." + _NEEDS)
    async def update_connected_account(
        self, info: Wire, input: Annotated[inputs.UpdateConnectedAccountInput, _INPUT]
    ) -> payloads.UpdateConnectedAccountPayload:
        """See `payengine.marketplace.connected`."""
        return await _account(
            info, "updateConnectedAccount", "update", input, payloads.UpdateConnectedAccountPayload
        )

    @mutation("Hand a vendor in to be verified." + _NEEDS)
    async def submit_connected_account(
        self, info: Wire, input: Annotated[inputs.SubmitConnectedAccountInput, _INPUT]
    ) -> payloads.SubmitConnectedAccountPayload:
        """See `payengine.marketplace.connected`."""
        return await _account(
            info, "submitConnectedAccount", "submit", input, payloads.SubmitConnectedAccountPayload
        )

    @mutation("Say what was found of a vendor." + _NEEDS)
    async def decide_onboarding(
        self, info: Wire, input: Annotated[inputs.DecideOnboardingInput, _INPUT]
    ) -> payloads.DecideOnboardingPayload:
        """See `payengine.marketplace.connected`."""
        return await _account(
            info, "decideOnboarding", "decide", input, payloads.DecideOnboardingPayload
        )

    @mutation("Stop a vendor's charges and payouts." + _NEEDS)
    async def suspend_connected_account(
        self, info: Wire, input: Annotated[inputs.SuspendConnectedAccountInput, _INPUT]
    ) -> payloads.SuspendConnectedAccountPayload:
        """See `payengine.marketplace.connected`."""
        return await _account(
            info,
            "suspendConnectedAccount",
            "suspend",
            input,
            payloads.SuspendConnectedAccountPayload,
        )

    @mutation("Let a suspended vendor go on." + _NEEDS)
    async def resume_connected_account(
        self, info: Wire, input: Annotated[inputs.ResumeConnectedAccountInput, _INPUT]
    ) -> payloads.ResumeConnectedAccountPayload:
        """See `payengine.marketplace.connected`."""
        return await _account(
            info, "resumeConnectedAccount", "resume", input, payloads.ResumeConnectedAccountPayload
        )

    @mutation("End a vendor's account for ever." + _NEEDS)
    async def close_connected_account(
        self, info: Wire, input: Annotated[inputs.CloseConnectedAccountInput, _INPUT]
    ) -> payloads.CloseConnectedAccountPayload:
        """See `payengine.marketplace.connected`."""
        return await _account(
            info, "closeConnectedAccount", "close", input, payloads.CloseConnectedAccountPayload
        )

    @mutation("Agree on a commission." + _NEEDS)
    async def create_split_rule(
        self, info: Wire, input: Annotated[inputs.CreateSplitRuleInput, _INPUT]
    ) -> payloads.CreateSplitRulePayload:
        """See `payengine.marketplace.rules`."""
        return await _rule(
            info, "createSplitRule", "create", input, payloads.CreateSplitRulePayload
        )

    @mutation("End a commission for new payments." + _NEEDS)
    async def archive_split_rule(
        self, info: Wire, input: Annotated[inputs.ArchiveSplitRuleInput, _INPUT]
    ) -> payloads.ArchiveSplitRulePayload:
        """See `payengine.marketplace.rules`."""
        return await _rule(
            info, "archiveSplitRule", "archive", input, payloads.ArchiveSplitRulePayload
        )

    @mutation("Let go what is held in escrow, or a part of it." + _NEEDS)
    async def release_escrow(
        self, info: Wire, input: Annotated[inputs.ReleaseEscrowInput, _INPUT]
    ) -> payloads.ReleaseEscrowPayload:
        """See `payengine.marketplace.escrows`."""
        return await _escrow(info, "releaseEscrow", "release", input, payloads.ReleaseEscrowPayload)

    @mutation("Tell an escrow that the goods came." + _NEEDS)
    async def record_delivery(
        self, info: Wire, input: Annotated[inputs.RecordDeliveryInput, _INPUT]
    ) -> payloads.RecordDeliveryPayload:
        """See `payengine.marketplace.escrows`."""
        return await _escrow(
            info, "recordDelivery", "deliver", input, payloads.RecordDeliveryPayload
        )

    @mutation("Accept a part of the work that an escrow pays for." + _NEEDS)
    async def accept_milestone(
        self, info: Wire, input: Annotated[inputs.AcceptMilestoneInput, _INPUT]
    ) -> payloads.AcceptMilestonePayload:
        """See `payengine.marketplace.escrows`."""
        return await _escrow(
            info, "acceptMilestone", "accept", input, payloads.AcceptMilestonePayload
        )

    @mutation("Move what is available from one account to another." + _NEEDS)
    async def create_account_transfer(
        self, info: Wire, input: Annotated[inputs.CreateAccountTransferInput, _INPUT]
    ) -> payloads.CreateAccountTransferPayload:
        """See `payengine.marketplace.transferring`."""

        async def work() -> TransferRow:
            return await _room(info).transfers.create(info.context.tenant, input.to_core())

        row, errors = await guarded(info, "createAccountTransfer", input, work, scope=_SCOPE)
        return payloads.CreateAccountTransferPayload(
            transfer=show_account_transfer(row) if row else None, errors=errors
        )
