"""What may be read of fraud?"""

from __future__ import annotations

from typing import Annotated

import msgspec
import strawberry
from payengine.errors import CursorInvalid, NotFound
from payengine.fraud.settings import FraudSettings as SettingsDocument
from payengine.ids import is_id

from payengine_graphql.context import Wire
from payengine_graphql.fraud.decisions import FraudDecision, show_decision
from payengine_graphql.fraud.inputs import (
    FraudAlertFilterInput,
    FraudDecisionFilterInput,
    FraudImpactInput,
    FraudListFilterInput,
    settings_given,
)
from payengine_graphql.fraud.rules import FraudImpact, FraudRule, show_rule
from payengine_graphql.fraud.summary import FraudSummary, show_summary
from payengine_graphql.fraud.types import (
    FraudAlert,
    FraudListEntry,
    FraudSettings,
    read_alert,
    read_entry,
    show_alert,
    show_entry,
)
from payengine_graphql.guarded import screen
from payengine_graphql.inputs import check_id
from payengine_graphql.scalars import JSON, DateTime
from payengine_graphql.types.fields import computed
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    check_first,
    connect,
)

__all__ = ["Query"]

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_Most = Annotated[int, strawberry.argument(description="How many at most; 1 to 100.")]
_EntryId = Annotated[strawberry.ID, strawberry.argument(description="The entry's id, fle_….")]
_AlertId = Annotated[strawberry.ID, strawberry.argument(description="The alert's id, fal_….")]
_PaymentId = Annotated[strawberry.ID, strawberry.argument(description="The payment's id, pay_….")]
_ListFilter = Annotated[
    FraudListFilterInput | None, strawberry.argument(description="Which entries to list.")
]
_AlertFilter = Annotated[
    FraudAlertFilterInput | None, strawberry.argument(description="Which alerts to list.")
]
_DecisionFilter = Annotated[
    FraudDecisionFilterInput | None, strawberry.argument(description="Which decisions to list.")
]
_Name = Annotated[str, strawberry.argument(description="The rule's name.")]
_Since = Annotated[DateTime, strawberry.argument(description="Decisions made from then on.")]
_Until = Annotated[DateTime, strawberry.argument(description="And before then.")]
_Impact = Annotated[FraudImpactInput, strawberry.argument(description="What is asked.")]
_Days = Annotated[
    int,
    strawberry.argument(
        description="How old a payment of which nothing is known must be to count as good."
    ),
]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("One entry of a list. Needs the scope `fraud:read`.")
    async def fraud_list_entry(self, info: Wire, id: _EntryId) -> FraudListEntry | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("fraud:read")
        check_id(id, "fle", field="id")
        found = await read_entry(info.context, id)
        if found is None:
            raise NotFound("There is no such entry.", path=("id",))
        return found

    @computed("The entries of the lists, the newest first. Needs the scope `fraud:read`.")
    async def fraud_list_entries(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _ListFilter = None,
    ) -> Connection[FraudListEntry]:
        """A page."""
        info.context.require("fraud:read")
        if after is not None and not is_id(after, "fle"):
            raise CursorInvalid(path=("after",))
        rows = await info.context.engine.fraud_desk.lists.page(
            info.context.tenant,
            (filter or FraudListFilterInput()).to_core(),
            first=check_first(first),
            after=after,
        )
        return connect(rows, first=first, after=after, show=show_entry, cursor=lambda row: row.id)

    @computed("The fraud rules that are installed. Needs the scope `fraud:read`.")
    async def fraud_rules(self, info: Wire) -> list[FraudRule]:
        """By name."""
        rulebook = info.context.engine.fraud_desk.rulebook
        saved = await rulebook.versions(info.context.tenant)
        return [
            show_rule(loaded, saved.get(name))
            for name, loaded in sorted(rulebook.installed.items())
        ]

    @computed("One fraud rule. Needs the scope `fraud:read`.")
    async def fraud_rule(self, info: Wire, name: _Name) -> FraudRule | None:
        """NOT_FOUND where none of this name is installed."""
        desk = info.context.engine.fraud_desk
        saved = await desk.rulebook.versions(info.context.tenant)
        loaded = desk.rulebook.installed.get(name)
        if loaded is None:
            raise NotFound("There is no such fraud rule.", path=("name",))
        return show_rule(loaded, saved.get(name))

    @computed(
        "What a rule with these settings would have done to past payments: of the span the latest "
        "5,000 decisions, from `since` of the answer on. Needs the scope `fraud:read`."
    )
    async def fraud_impact(self, info: Wire, input: _Impact) -> FraudImpact:
        """Changes nothing."""
        screen(input)
        row = await info.context.engine.fraud_desk.impacts.report(
            info.context.tenant,
            rule=input.rule,
            settings=settings_given(input.settings),
            since=input.since,
            until=input.until,
        )
        return FraudImpact(row=row)

    @computed(
        "How fraud is dealt with: the versions of the settings, the newest first, which holds. "
        "Where there is none, the schema's defaults do. Needs the scope `fraud:read`."
    )
    async def fraud_settings(self, info: Wire, first: _Most = 1) -> list[FraudSettings]:
        """Kept for ever."""
        rows = await info.context.engine.fraud_desk.choices.saved(
            info.context.tenant, first=check_first(first)
        )
        return [FraudSettings(row=row) for row in rows]

    @computed("The JSON Schema of the settings of fraud, with their defaults.")
    def fraud_settings_schema(self) -> JSON:
        """The same for all."""
        return JSON(msgspec.json.schema(SettingsDocument))

    @computed("What was decided about a payment. Needs the scope `fraud:read`.")
    async def payment_fraud_decisions(self, info: Wire, id: _PaymentId) -> list[FraudDecision]:
        """Empty where the rules were never asked, and where there is no such payment."""
        info.context.require("fraud:read")
        check_id(id, "pay", field="id")
        rows = await info.context.loaders.fraud_decisions.load(id)
        return [show_decision(row) for row in rows]

    @computed("What was decided, the newest first. Needs the scope `fraud:read`.")
    async def fraud_decisions(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _DecisionFilter = None,
    ) -> Connection[FraudDecision]:
        """A page."""
        rows = await info.context.engine.fraud_desk.decisions.page(
            info.context.tenant,
            (filter or FraudDecisionFilterInput()).to_core(),
            first=check_first(first),
            after=after,
        )
        return connect(
            rows, first=first, after=after, show=show_decision, cursor=lambda row: row.cursor
        )

    @computed("How well the rules do. Needs the scope `fraud:read`.")
    async def fraud_summary(
        self, info: Wire, since: _Since, until: _Until, matured_after_days: _Days = 60
    ) -> FraudSummary:
        """Counted anew for each question."""
        row = await info.context.engine.fraud_desk.summaries.summary(
            info.context.tenant, since=since, until=until, matured_after_days=matured_after_days
        )
        return show_summary(row)

    @computed("One alert. Needs the scope `fraud:read`.")
    async def fraud_alert(self, info: Wire, id: _AlertId) -> FraudAlert | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        info.context.require("fraud:read")
        check_id(id, "fal", field="id")
        found = await read_alert(info.context, id)
        if found is None:
            raise NotFound("There is no such alert.", path=("id",))
        return found

    @computed(
        "What is unlike it used to be, the newest first; live, see the events `fraud.alert_opened` "
        "and `fraud.alert_closed`. Needs the scope `fraud:read`."
    )
    async def fraud_alerts(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _AlertFilter = None,
    ) -> Connection[FraudAlert]:
        """A page."""
        info.context.require("fraud:read")
        if after is not None and not is_id(after, "fal"):
            raise CursorInvalid(path=("after",))
        rows = await info.context.engine.fraud_desk.watching.page(
            info.context.tenant,
            (filter or FraudAlertFilterInput()).to_core(),
            first=check_first(first),
            after=after,
        )
        return connect(rows, first=first, after=after, show=show_alert, cursor=lambda row: row.id)
