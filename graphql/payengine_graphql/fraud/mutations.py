"""What may be done about fraud?"""

from __future__ import annotations

from typing import Annotated

import strawberry
from payengine.errors import NotFound
from payengine.fraud.lists import ListEntry
from payengine.fraud.settings import SavedSettings

from payengine_graphql.context import Wire
from payengine_graphql.fraud import inputs, payloads
from payengine_graphql.fraud.rules import FraudRule, show_rule
from payengine_graphql.fraud.types import FraudOutcome, FraudSettings, show_entry
from payengine_graphql.guarded import guarded
from payengine_graphql.types.fields import mutation

__all__ = ["Mutation"]

_INPUT = strawberry.argument(description="What is asked.")
_SCOPE = "fraud:write"


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation:
    """See the description."""

    @mutation("Put a value on a list, from the next payment on. Needs the scope `fraud:write`.")
    async def add_fraud_list_entry(
        self, info: Wire, input: Annotated[inputs.AddFraudListEntryInput, _INPUT]
    ) -> payloads.AddFraudListEntryPayload:
        """See `payengine.fraud.desk.listing`."""
        lists = info.context.engine.fraud_desk.lists

        async def work() -> ListEntry:
            return await lists.add(info.context.tenant, input.to_core())

        row, errors = await guarded(info, "addFraudListEntry", input, work, scope=_SCOPE)
        entry = show_entry(row) if row else None
        return payloads.AddFraudListEntryPayload(fraud_list_entry=entry, errors=errors)

    @mutation("Take an entry off its list. Needs the scope `fraud:write`.")
    async def remove_fraud_list_entry(
        self, info: Wire, input: Annotated[inputs.RemoveFraudListEntryInput, _INPUT]
    ) -> payloads.RemoveFraudListEntryPayload:
        """See `payengine.fraud.desk.listing`."""
        lists = info.context.engine.fraud_desk.lists

        async def work() -> ListEntry:
            return await lists.remove(info.context.tenant, input.to_core())

        row, errors = await guarded(info, "removeFraudListEntry", input, work, scope=_SCOPE)
        entry = show_entry(row) if row else None
        return payloads.RemoveFraudListEntryPayload(fraud_list_entry=entry, errors=errors)

    @mutation(
        "Set a rule's mode and settings, as a version of its own; `fraudImpact` says first what "
        "that would do. Needs the scope `fraud:write`."
    )
    async def save_fraud_rule(
        self, info: Wire, input: Annotated[inputs.SaveFraudRuleInput, _INPUT]
    ) -> payloads.SaveFraudRulePayload:
        """See `payengine.fraud.rulebook`."""
        rule, errors = await guarded(
            info, "saveFraudRule", input, lambda: _save_rule(info, input), scope=_SCOPE
        )
        return payloads.SaveFraudRulePayload(fraud_rule=rule, errors=errors)

    @mutation("Say how fraud is to be dealt with. Needs the scope `fraud:write`.")
    async def configure_fraud(
        self, info: Wire, input: Annotated[inputs.ConfigureFraudInput, _INPUT]
    ) -> payloads.ConfigureFraudPayload:
        """See `payengine.fraud.desk.choices`."""
        choices = info.context.engine.fraud_desk.choices

        async def work() -> SavedSettings:
            return await choices.save(info.context.tenant, input.to_core())

        row, errors = await guarded(info, "configureFraud", input, work, scope=_SCOPE)
        settings = FraudSettings(row=row) if row else None
        return payloads.ConfigureFraudPayload(fraud_settings=settings, errors=errors)

    @mutation(
        "Say whether a payment was fraudulent; it is learnt from then on. Needs `fraud:write`."
    )
    async def report_fraud_outcome(
        self, info: Wire, input: Annotated[inputs.ReportFraudOutcomeInput, _INPUT]
    ) -> payloads.ReportFraudOutcomePayload:
        """See `payengine.fraud.desk.feedback`."""
        found, errors = await guarded(
            info, "reportFraudOutcome", input, lambda: _report(info, input), scope=_SCOPE
        )
        return payloads.ReportFraudOutcomePayload(fraud_outcomes=found or [], errors=errors)


async def _save_rule(info: Wire, given: inputs.SaveFraudRuleInput) -> FraudRule:
    context = info.context
    rulebook = context.engine.fraud_desk.rulebook
    settings = inputs.settings_given(given.settings)

    async def do() -> tuple[str, FraudRule]:
        saved = await rulebook.save(
            context.tenant,
            given.rule,
            mode=given.mode.value,
            settings=settings,
            reason=given.reason,
        )
        return given.rule, show_rule(rulebook.installed[given.rule], saved)

    async def again(rule: str) -> FraudRule:
        loaded = rulebook.installed.get(rule)
        if loaded is None:
            raise NotFound("There is no such fraud rule.", path=("rule",))
        saved = await context.engine.fraud_desk.newest_version(context.tenant, rule)
        return show_rule(loaded, saved)

    return await context.services.once.run(
        context.tenant,
        "saveFraudRule",
        given,
        at=context.engine.clock.now(context.tenant.tenant_id),
        do=do,
        again=again,
    )


async def _report(info: Wire, given: inputs.ReportFraudOutcomeInput) -> list[FraudOutcome]:
    context = info.context
    feedback = context.engine.fraud_desk.feedback
    rows = await feedback.report(context.tenant, given.to_core())
    return [FraudOutcome(row=row) for row in rows]
