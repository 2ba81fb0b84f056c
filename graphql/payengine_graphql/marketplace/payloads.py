"""What does a mutation about the marketplace answer?"""

from __future__ import annotations

import strawberry

from payengine_graphql.marketplace.types import AccountTransfer, ConnectedAccount, Escrow, SplitRule
from payengine_graphql.types.problems import Problem

__all__ = [
    "AcceptMilestonePayload",
    "ArchiveSplitRulePayload",
    "CloseConnectedAccountPayload",
    "ConnectedAccountPayload",
    "CreateAccountTransferPayload",
    "CreateConnectedAccountPayload",
    "CreateSplitRulePayload",
    "DecideOnboardingPayload",
    "EscrowPayload",
    "RecordDeliveryPayload",
    "ReleaseEscrowPayload",
    "ResumeConnectedAccountPayload",
    "SplitRulePayload",
    "SubmitConnectedAccountPayload",
    "SuspendConnectedAccountPayload",
    "UpdateConnectedAccountPayload",
]

_ERRORS = "Why it was not done; empty where it was."


@strawberry.type(description="The answer to a mutation about a connected account.")
class ConnectedAccountPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    account: ConnectedAccount | None = strawberry.field(
        description="The account as it now stands.", default=None
    )


@strawberry.type(description="The answer to a mutation about a split rule.")
class SplitRulePayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    rule: SplitRule | None = strawberry.field(
        description="The rule as it now stands.", default=None
    )


@strawberry.type(description="The answer to a mutation about an escrow.")
class EscrowPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    escrow: Escrow | None = strawberry.field(
        description="The escrow as it now stands.", default=None
    )


@strawberry.type(description="The answer to createAccountTransfer.")
class CreateAccountTransferPayload:
    """See the description."""

    errors: list[Problem] = strawberry.field(description=_ERRORS)
    transfer: AccountTransfer | None = strawberry.field(
        description="The transfer that was made.", default=None
    )


@strawberry.type(description="The answer to createConnectedAccount.")
class CreateConnectedAccountPayload(ConnectedAccountPayload):
    """See the description."""


@strawberry.type(description="The answer to updateConnectedAccount.")
class UpdateConnectedAccountPayload(ConnectedAccountPayload):
    """See the description."""


@strawberry.type(description="The answer to submitConnectedAccount.")
class SubmitConnectedAccountPayload(ConnectedAccountPayload):
    """See the description."""


@strawberry.type(description="The answer to decideOnboarding.")
class DecideOnboardingPayload(ConnectedAccountPayload):
    """See the description."""


@strawberry.type(description="The answer to suspendConnectedAccount.")
class SuspendConnectedAccountPayload(ConnectedAccountPayload):
    """See the description."""


@strawberry.type(description="The answer to resumeConnectedAccount.")
class ResumeConnectedAccountPayload(ConnectedAccountPayload):
    """See the description."""


@strawberry.type(description="The answer to closeConnectedAccount.")
class CloseConnectedAccountPayload(ConnectedAccountPayload):
    """See the description."""


@strawberry.type(description="The answer to createSplitRule.")
class CreateSplitRulePayload(SplitRulePayload):
    """See the description."""


@strawberry.type(description="The answer to archiveSplitRule.")
class ArchiveSplitRulePayload(SplitRulePayload):
    """See the description."""


@strawberry.type(description="The answer to releaseEscrow.")
class ReleaseEscrowPayload(EscrowPayload):
    """See the description."""


@strawberry.type(description="The answer to recordDelivery.")
class RecordDeliveryPayload(EscrowPayload):
    """See the description."""


@strawberry.type(description="The answer to acceptMilestone.")
class AcceptMilestonePayload(EscrowPayload):
    """See the description."""
