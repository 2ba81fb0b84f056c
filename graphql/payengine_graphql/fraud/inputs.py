"""What may a client send about fraud?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import strawberry
from payengine.errors import InputInvalid
from payengine.fraud.desk.choices import ConfigureFraud
from payengine.fraud.desk.decisions import DecisionFilter
from payengine.fraud.desk.watching import AlertFilter
from payengine.fraud.lists import AddListEntry, ListFilter, RemoveListEntry
from payengine.fraud.outcomes import OutcomeReport

from payengine_graphql.fraud.enums import (
    FraudAlertKind,
    FraudListKind,
    FraudListName,
    FraudRuleMode,
    FraudVerdict,
)
from payengine_graphql.inputs import check_id
from payengine_graphql.scalars import JSON, DateTime

__all__ = [
    "AddFraudListEntryInput",
    "ConfigureFraudInput",
    "FraudAlertFilterInput",
    "FraudDecisionFilterInput",
    "FraudImpactInput",
    "FraudListFilterInput",
    "RemoveFraudListEntryInput",
    "ReportFraudOutcomeInput",
    "SaveFraudRuleInput",
    "settings_given",
]

_KEY = "1 to 255 printable characters of your own: the same key never does it twice."
_PERSON = "Who acts: the name of a person, kept with what they do."
_REASON = "Why, in words that an auditor understands."


@strawberry.input(description="Put a value on a list; give exactly one of `value` and `paymentId`.")
class AddFraudListEntryInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    list: FraudListName = strawberry.field(description="Which list.")
    kind: FraudListKind = strawberry.field(description="What the value is.")
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description=_REASON)
    value: str | None = strawberry.field(
        description="What to look for. Cards, devices and addresses are kept as hashes.",
        default=None,
    )
    payment_id: strawberry.ID | None = strawberry.field(
        description="Instead: what this payment was made with.", default=None
    )
    expires_at: DateTime | None = strawberry.field(
        description="When the entry ends by itself.", default=None
    )

    def to_core(self) -> AddListEntry:
        """For the engine."""
        if self.payment_id is not None:
            check_id(self.payment_id, "pay", field="paymentId")
        return AddListEntry(
            idempotency_key=self.idempotency_key,
            list=self.list.value,
            kind=self.kind.value,
            person=self.person,
            reason=self.reason,
            value=self.value,
            payment_id=self.payment_id,
            expires_at=self.expires_at,
        )


@strawberry.input(description="Take an entry off its list.")
class RemoveFraudListEntryInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    fraud_list_entry_id: strawberry.ID = strawberry.field(description="The entry's id, fle_….")
    person: str = strawberry.field(description=_PERSON)
    reason: str = strawberry.field(description=_REASON)

    def to_core(self) -> RemoveListEntry:
        """For the engine."""
        check_id(self.fraud_list_entry_id, "fle", field="fraudListEntryId")
        return RemoveListEntry(
            idempotency_key=self.idempotency_key,
            entry_id=self.fraud_list_entry_id,
            person=self.person,
            reason=self.reason,
        )


@strawberry.input(description="Which entries to list; by default all that hold.")
class FraudListFilterInput:
    """See the description."""

    list: FraudListName | None = strawberry.field(description="Of this list only.", default=None)
    kind: FraudListKind | None = strawberry.field(description="Of this kind only.", default=None)
    holds: bool = strawberry.field(
        description="Those that hold; false for those that were removed or whose time is up.",
        default=True,
    )

    def to_core(self) -> ListFilter:
        """For the engine."""
        return ListFilter(
            list=self.list.value if self.list else None,
            kind=self.kind.value if self.kind else None,
            holds=self.holds,
        )


@strawberry.input(description="Save how the tenant wants fraud to be dealt with.")
class ConfigureFraudInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    settings: JSON = strawberry.field(
        description="The whole document; `fraudSettingsSchema` tells its form."
    )
    reason: str = strawberry.field(description=_REASON)

    def to_core(self) -> ConfigureFraud:
        """For the engine."""
        return ConfigureFraud(
            idempotency_key=self.idempotency_key, settings=self.settings, reason=self.reason
        )


@strawberry.input(description="Say what became of a payment.")
class ReportFraudOutcomeInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    payment_id: strawberry.ID = strawberry.field(description="The payment's id, pay_….")
    is_fraud: bool = strawberry.field(description="Whether it was fraudulent.")
    observed_at: DateTime | None = strawberry.field(
        description="Since when you know; now where left out. It is learnt from then on.",
        default=None,
    )

    def to_core(self) -> OutcomeReport:
        """For the engine."""
        check_id(self.payment_id, "pay", field="paymentId")
        return OutcomeReport(
            idempotency_key=self.idempotency_key,
            payment_id=self.payment_id,
            is_fraud=self.is_fraud,
            observed_at=self.observed_at,
        )


@strawberry.input(description="Which alerts to list; by default those that are open.")
class FraudAlertFilterInput:
    """See the description."""

    is_open: bool = strawberry.field(
        description="Those that are open; false for those that are over.", default=True
    )
    kind: FraudAlertKind | None = strawberry.field(description="Of this kind only.", default=None)

    def to_core(self) -> AlertFilter:
        """For the engine."""
        return AlertFilter(is_open=self.is_open, kind=self.kind.value if self.kind else None)


@strawberry.input(description="Set a rule's mode and its settings.")
class SaveFraudRuleInput:
    """See the description."""

    idempotency_key: str = strawberry.field(description=_KEY)
    rule: str = strawberry.field(description="The rule's name.")
    mode: FraudRuleMode = strawberry.field(description="Whether its verdict counts.")
    reason: str = strawberry.field(description="Why, for those who read it later.")
    settings: JSON | None = strawberry.field(
        description="All its settings; without them, the defaults.", default=None
    )


@strawberry.input(description="Try a rule's settings on past payments.")
class FraudImpactInput:
    """See the description."""

    rule: str = strawberry.field(description="The rule's name.")
    since: DateTime = strawberry.field(description="Decisions made from then on.")
    until: DateTime = strawberry.field(description="And before then.")
    settings: JSON | None = strawberry.field(
        description="The settings to try; without them, the defaults.", default=None
    )


@strawberry.input(description="Which decisions to list; by default all.")
class FraudDecisionFilterInput:
    """See the description."""

    verdicts: list[FraudVerdict] | None = strawberry.field(
        description="With one of these verdicts only.", default=None
    )
    since: DateTime | None = strawberry.field(description="Made from then on.", default=None)
    until: DateTime | None = strawberry.field(description="And before then.", default=None)

    def to_core(self) -> DecisionFilter:
        """For the engine."""
        return DecisionFilter(
            verdicts=tuple(each.value for each in self.verdicts or ()),
            since=self.since,
            until=self.until,
        )


def settings_given(plain: object) -> dict[str, Any]:
    """A rule's settings as they came; raises `InputInvalid` where that is no object."""
    if plain is None:
        return {}
    if not isinstance(plain, Mapping):
        raise InputInvalid("Settings are an object.", path=("settings",))
    return dict(plain)
