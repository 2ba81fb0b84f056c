"""How does a page of payments read its customers in one statement?

One set of loaders per request: what a page's objects ask for one by one is gathered and read at
once, by the ids of the asking tenant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from payengine.context import TenantContext
from payengine.customers import Customer, SavedMethod
from payengine.engine import Engine
from payengine.fraud.desk.decisions import Decision as FraudDecision
from payengine.fraud.desk.feedback import KnownOutcome
from payengine.fraud.desk.watching import Alert
from payengine.fraud.lists import ListEntry
from payengine.payments.disputes import Dispute, Report, Step
from payengine.payments.disputes import Evidence as DisputeEvidence
from payengine.payments.models import Attempt, Evidence, Operation, Payment
from payengine.payments.review import Review, ReviewAction
from payengine.routing import RoutingPolicy
from payengine.webhooks.models import Attempt as WebhookAttempt
from payengine.webhooks.models import Delivery as WebhookDelivery
from payengine.webhooks.models import Endpoint as WebhookEndpoint
from payengine.webhooks.models import Redelivery as WebhookRedelivery
from payengine.webhooks.models import Secret as WebhookSecret
from strawberry.dataloader import DataLoader

__all__ = ["Loaders"]

_BATCH = 200

T = TypeVar("T")


class Loaders:
    """Made when first used, so that a request pays for none that it does not need."""

    def __init__(self, engine: Engine, tenant: TenantContext) -> None:
        self._engine = engine
        self._tenant = tenant

    @cached_property
    def payments(self) -> DataLoader[str, Payment | None]:
        """Payments by id."""
        return _one(lambda ids: self._engine.payments.get_many(self._tenant, ids))

    @cached_property
    def attempts(self) -> DataLoader[str, list[Attempt]]:
        """A payment's attempts."""
        return _many(lambda ids: self._engine.payments.attempts_of(self._tenant, ids))

    @cached_property
    def operations(self) -> DataLoader[str, list[Operation]]:
        """A payment's operations."""
        return _many(lambda ids: self._engine.payments.operations_of(self._tenant, ids))

    @cached_property
    def operations_by_id(self) -> DataLoader[str, Operation | None]:
        """Operations by id."""
        return _one(lambda ids: self._engine.payments.operations_by_id(self._tenant, ids))

    @cached_property
    def evidence(self) -> DataLoader[str, list[Evidence]]:
        """An operation's evidence."""
        return _many(lambda ids: self._engine.payments.evidence_of(self._tenant, ids))

    @cached_property
    def disputes(self) -> DataLoader[str, Dispute | None]:
        """Disputes by id."""
        return _one(lambda ids: self._engine.disputes.get_many(self._tenant, ids))

    @cached_property
    def dispute_evidence(self) -> DataLoader[str, list[DisputeEvidence]]:
        """A dispute's evidence."""
        return _many(lambda ids: self._engine.disputes.evidence_of(self._tenant, ids))

    @cached_property
    def dispute_steps(self) -> DataLoader[str, list[Step]]:
        """What the provider was asked about a dispute."""
        return _many(lambda ids: self._engine.disputes.steps_of(self._tenant, ids))

    @cached_property
    def dispute_reports(self) -> DataLoader[str, list[Report]]:
        """What the provider told of a dispute."""
        return _many(lambda ids: self._engine.disputes.reports_of(self._tenant, ids))

    @cached_property
    def reviews(self) -> DataLoader[str, Review | None]:
        """Reviews by id."""
        return _one(lambda ids: self._engine.reviews.get_many(self._tenant, ids))

    @cached_property
    def review_actions(self) -> DataLoader[str, list[ReviewAction]]:
        """What people did about a review."""
        return _many(lambda ids: self._engine.reviews.actions_of(self._tenant, ids))

    @cached_property
    def customers(self) -> DataLoader[str, Customer | None]:
        """Customers by id."""
        return _one(lambda ids: self._engine.customers.get_many(self._tenant, ids))

    @cached_property
    def methods(self) -> DataLoader[str, list[SavedMethod]]:
        """A customer's saved payment methods."""
        return _many(lambda ids: self._engine.customers.methods_of(self._tenant, ids))

    @cached_property
    def methods_by_id(self) -> DataLoader[str, SavedMethod | None]:
        """Saved payment methods by id."""
        return _one(lambda ids: self._engine.customers.methods_by_id(self._tenant, ids))

    @cached_property
    def routing_policies(self) -> DataLoader[str, RoutingPolicy | None]:
        """Routing policies by id."""
        return _one(lambda ids: self._engine.router.policies.get_many(self._tenant, ids))

    @cached_property
    def fraud_decisions(self) -> DataLoader[str, list[FraudDecision]]:
        """What was decided about a payment."""
        decisions = self._engine.fraud_desk.decisions
        return _many(lambda ids: decisions.of_payments(self._tenant, ids))

    @cached_property
    def fraud_outcomes(self) -> DataLoader[str, list[KnownOutcome]]:
        """What became known of a payment."""
        feedback = self._engine.fraud_desk.feedback
        return _many(lambda ids: feedback.outcomes_of(self._tenant, ids))

    @cached_property
    def fraud_list_entries(self) -> DataLoader[str, ListEntry | None]:
        """Entries of the tenant's lists by id."""
        return _one(lambda ids: self._engine.fraud_desk.lists.get_many(self._tenant, ids))

    @cached_property
    def fraud_alerts(self) -> DataLoader[str, Alert | None]:
        """Alerts by id."""
        return _one(lambda ids: self._engine.fraud_desk.watching.get_many(self._tenant, ids))

    @cached_property
    def webhook_endpoints(self) -> DataLoader[str, WebhookEndpoint | None]:
        """Webhook endpoints by id."""
        endpoints = self._engine.webhooks.endpoints
        return _one(lambda ids: endpoints.get_many(self._tenant, ids))

    @cached_property
    def webhook_secrets(self) -> DataLoader[str, list[WebhookSecret]]:
        """A webhook endpoint's live secrets."""
        endpoints = self._engine.webhooks.endpoints
        return _many(lambda ids: endpoints.secrets_of(self._tenant, ids))

    @cached_property
    def webhook_deliveries(self) -> DataLoader[str, WebhookDelivery | None]:
        """Webhook deliveries by id."""
        return _one(lambda ids: self._engine.webhooks.log.get_many(self._tenant, ids))

    @cached_property
    def webhook_attempts(self) -> DataLoader[str, list[WebhookAttempt]]:
        """A webhook delivery's attempts."""
        return _many(lambda ids: self._engine.webhooks.log.attempts_of(self._tenant, ids))

    @cached_property
    def webhook_redeliveries(self) -> DataLoader[str, WebhookRedelivery | None]:
        """Webhook redeliveries by id."""
        return _one(lambda ids: self._engine.webhooks.log.redeliveries(self._tenant, ids))


def _one(
    read: Callable[[list[str]], Awaitable[Mapping[str, T]]],
) -> DataLoader[str, T | None]:
    async def load(ids: list[str]) -> Sequence[T | BaseException | None]:
        found = await read(ids)
        return [found.get(each) for each in ids]

    return DataLoader(load, max_batch_size=_BATCH)


def _many(
    read: Callable[[list[str]], Awaitable[Mapping[str, list[T]]]],
) -> DataLoader[str, list[T]]:
    async def load(ids: list[str]) -> Sequence[list[T] | BaseException]:
        found = await read(ids)
        return [found.get(each, []) for each in ids]

    return DataLoader(load, max_batch_size=_BATCH)
