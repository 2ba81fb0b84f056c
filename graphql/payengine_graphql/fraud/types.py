"""How are lists, settings, alerts and what is known of payments shown?"""

from __future__ import annotations

import strawberry
from payengine.fraud.desk.feedback import KnownOutcome as OutcomeRow
from payengine.fraud.desk.watching import Alert as AlertRow
from payengine.fraud.lists import ListEntry as EntryRow
from payengine.fraud.settings import SavedSettings as SettingsRow

from payengine_graphql.context import RequestContext
from payengine_graphql.fraud.enums import (
    FraudAlertKind,
    FraudLabelSource,
    FraudListKind,
    FraudListName,
)
from payengine_graphql.scalars import JSON, DateTime
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.nodes import Node

__all__ = [
    "FraudAlert",
    "FraudListEntry",
    "FraudOutcome",
    "FraudSettings",
    "millionths",
    "read_alert",
    "read_entry",
    "show_alert",
    "show_entry",
]

_WHOLE = 1_000_000


@strawberry.type(description="A value on a list. It never changes, and only ends.")
class FraudListEntry(Node):
    """See the description."""

    row: strawberry.Private[EntryRow]
    label: str = column("What it is about, in part where that is personal.")
    reason: str = column("Why it was put there.")
    person: str = column("By whom.")
    actor: str = column("In whose name: the API key.")
    created_at: DateTime = column("Since when it holds.")
    expires_at: DateTime | None = column("When it ends by itself.")
    removed_at: DateTime | None = column("When it was taken off.")
    removed_by: str | None = column("By whom.")
    removed_actor: str | None = column("In whose name.")
    removed_reason: str | None = column("Why.")

    @computed("Which list.")
    def list(self) -> FraudListName:
        """From the row."""
        return FraudListName(self.row.list)

    @computed("What the value is.")
    def kind(self) -> FraudListKind:
        """From the row."""
        return FraudListKind(self.row.kind)


@strawberry.type(description="One version of how the tenant wants fraud to be dealt with.")
class FraudSettings:
    """See the description."""

    row: strawberry.Private[SettingsRow]
    version: int = column("Counts the versions from 1.")
    document: JSON = column("The settings.")
    reason: str = column("Why they were saved.")
    actor: str = column("By which API key.")
    created_at: DateTime = column("When; the newest holds.")


@strawberry.type(description="Something about the payments is unlike what it used to be.")
class FraudAlert(Node):
    """See the description."""

    row: strawberry.Private[AlertRow]
    subject: str = column("The rule or the fact that it is about; empty where about neither.")
    reading: JSON = column(
        "How it looked when last told: `value` now, `before` in the week before, the `limit`, and "
        "how many payments that is, `sample`."
    )
    opened_at: DateTime = column("Since when: the end of the quarter of an hour that told it.")
    told_at: DateTime = column("When it was last told.")
    closed_at: DateTime | None = column("When it was over; none while it goes on.")

    @computed("What is unlike before.")
    def kind(self) -> FraudAlertKind:
        """From the row."""
        return FraudAlertKind(self.row.kind)


@strawberry.type(description="What was known of a payment from an instant on.")
class FraudOutcome:
    """See the description."""

    row: strawberry.Private[OutcomeRow]
    is_fraud: bool = column("Whether it was fraudulent.")
    observed_at: DateTime = column("Since when that was known.")
    superseded_at: DateTime | None = column("Until when, where something else became known.")
    recorded_at: DateTime = column("When it was written down here.")

    @computed("Who knew it.")
    def source(self) -> FraudLabelSource:
        """From the row."""
        return FraudLabelSource(self.row.source)


def millionths(share: float | None) -> int | None:
    """A share as a whole number: the API has no floats."""
    return None if share is None else round(share * _WHOLE)


def show_entry(row: EntryRow) -> FraudListEntry:
    """The entry for the wire."""
    return FraudListEntry(id=strawberry.ID(row.id), row=row)


def show_alert(row: AlertRow) -> FraudAlert:
    """The alert for the wire."""
    return FraudAlert(id=strawberry.ID(row.id), row=row)


async def read_entry(context: RequestContext, entry_id: str) -> FraudListEntry | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.fraud_list_entries.load(entry_id)
    return show_entry(row) if row else None


async def read_alert(context: RequestContext, alert_id: str) -> FraudAlert | None:
    """By id; None where there is none in this tenant."""
    row = await context.loaders.fraud_alerts.load(alert_id)
    return show_alert(row) if row else None
