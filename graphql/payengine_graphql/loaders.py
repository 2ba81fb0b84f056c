"""How does a page of payments read its customers in one statement?

One set of loaders per request: what a page's objects ask for one by one is gathered and read at
once, by the ids of the asking tenant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from payengine.billing.collection.desk import CollectionView
from payengine.billing.collection.notices import Notice
from payengine.billing.invoices.models import CreditNote, StoredInvoice
from payengine.billing.models import CatalogPrice, Meter, Product
from payengine.billing.subscriptions.models import (
    ItemRow,
    KeptCoupon,
    ScheduledChange,
)
from payengine.billing.subscriptions.models import Subscription as SubscriptionRow
from payengine.context import TenantContext
from payengine.customers import Customer, SavedMethod
from payengine.engine import Engine
from payengine.fraud.desk.decisions import Decision as FraudDecision
from payengine.fraud.desk.feedback import KnownOutcome
from payengine.fraud.desk.watching import Alert
from payengine.fraud.lists import ListEntry
from payengine.fx.models import Conversion, FxQuote
from payengine.marketplace.connected_models import AccountCheck, ConnectedAccount
from payengine.marketplace.divided import Divided
from payengine.marketplace.escrows import EscrowRelease
from payengine.marketplace.sharing_models import EscrowHold, SplitRule
from payengine.marketplace.transferring import AccountTransfer
from payengine.marketplace.treasury import Destination, Payout, PayoutBatch, PayoutEvidence
from payengine.payments.disputes import Dispute, Report, Step
from payengine.payments.disputes import Evidence as DisputeEvidence
from payengine.payments.models import Attempt, Evidence, Operation, Payment
from payengine.payments.review import Review, ReviewAction
from payengine.routing import RoutingPolicy
from payengine.settlements import (
    SettlementAction,
    SettlementFile,
    SettlementItem,
    SettlementLineRow,
)
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
    def billing_subscriptions(self) -> DataLoader[str, SubscriptionRow | None]:
        """Subscriptions by id."""
        return _one(lambda ids: self._engine.subscribing.reader.by_id(self._tenant, ids))

    @cached_property
    def subscription_items(self) -> DataLoader[str, list[ItemRow]]:
        """A subscription's present items."""
        return _many(lambda ids: self._engine.subscribing.reader.items_of(self._tenant, ids))

    @cached_property
    def scheduled_changes(self) -> DataLoader[str, list[ScheduledChange]]:
        """A subscription's scheduled changes."""
        return _many(lambda ids: self._engine.subscribing.reader.changes_of(self._tenant, ids))

    @cached_property
    def coupons(self) -> DataLoader[str, KeptCoupon | None]:
        """Coupons by id."""
        return _one(lambda ids: self._engine.subscribing.coupons.by_id(self._tenant, ids))

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
    def products(self) -> DataLoader[str, Product | None]:
        """Products by id."""
        return _one(lambda ids: self._engine.catalogue.products_by_id(self._tenant, ids))

    @cached_property
    def prices(self) -> DataLoader[str, CatalogPrice | None]:
        """Prices by id."""
        return _one(lambda ids: self._engine.catalogue.prices_by_id(self._tenant, ids))

    @cached_property
    def prices_of_product(self) -> DataLoader[str, list[CatalogPrice]]:
        """A product's prices."""
        return _many(lambda ids: self._engine.catalogue.prices_of(self._tenant, ids))

    @cached_property
    def meters(self) -> DataLoader[str, Meter | None]:
        """Meters by id."""
        return _one(lambda ids: self._engine.catalogue.meters_by_id(self._tenant, ids))

    @cached_property
    def collections(self) -> DataLoader[str, CollectionView | None]:
        """How invoices are collected."""
        return _one(lambda ids: self._engine.collection.desk.of_invoices(self._tenant, ids))

    @cached_property
    def notices(self) -> DataLoader[str, list[Notice]]:
        """What an invoice's customer was told."""
        return _many(lambda ids: self._engine.collection.desk.notices_of(self._tenant, ids))

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
    def invoices(self) -> DataLoader[str, StoredInvoice | None]:
        """Invoices by id."""
        return _one(lambda ids: self._engine.invoicing.invoices.by_id(self._tenant, ids))

    @cached_property
    def credit_notes(self) -> DataLoader[str, CreditNote | None]:
        """Credit notes by id."""
        return _one(lambda ids: self._engine.invoicing.credit_notes.by_id(self._tenant, ids))

    @cached_property
    def credit_notes_of(self) -> DataLoader[str, list[CreditNote]]:
        """An invoice's credit notes."""
        return _many(lambda ids: self._engine.invoicing.credit_notes.of(self._tenant, ids))

    @cached_property
    def fx_quotes(self) -> DataLoader[str, FxQuote | None]:
        """Quotes by id."""
        return _one(lambda ids: self._engine.exchange.quotes_by_id(self._tenant, ids))

    @cached_property
    def conversions(self) -> DataLoader[str, Conversion | None]:
        """Conversions by id."""
        return _one(lambda ids: self._engine.exchange.conversions_by_id(self._tenant, ids))

    @cached_property
    def settlement_files(self) -> DataLoader[str, SettlementFile | None]:
        """Imported files by id."""
        return _one(lambda ids: self._engine.settlements.files_by_id(self._tenant, ids))

    @cached_property
    def settlement_lines(self) -> DataLoader[str, SettlementLineRow | None]:
        """Lines of imported files by id."""
        return _one(lambda ids: self._engine.settlements.lines_by_id(self._tenant, ids))

    @cached_property
    def settlement_items(self) -> DataLoader[str, SettlementItem | None]:
        """Items of work by id."""
        return _one(lambda ids: self._engine.settlements.items_by_id(self._tenant, ids))

    @cached_property
    def settlement_actions(self) -> DataLoader[str, list[SettlementAction]]:
        """What was done about an item."""
        return _many(lambda ids: self._engine.settlements.actions_of(self._tenant, ids))

    @cached_property
    def routing_policies(self) -> DataLoader[str, RoutingPolicy | None]:
        """Routing policies by id."""
        return _one(lambda ids: self._engine.router.policies.get_many(self._tenant, ids))

    @cached_property
    def accounts(self) -> DataLoader[str, ConnectedAccount | None]:
        """Connected accounts by id."""
        return _one(lambda ids: self._engine.marketplace.accounts.get_many(self._tenant, ids))

    @cached_property
    def account_checks(self) -> DataLoader[str, list[AccountCheck]]:
        """What was found of a connected account."""
        return _many(lambda ids: self._engine.marketplace.accounts.checks_of(self._tenant, ids))

    @cached_property
    def account_transfers(self) -> DataLoader[str, AccountTransfer | None]:
        """Transfers between connected accounts by id."""
        return _one(lambda ids: self._engine.marketplace.transfers.get_many(self._tenant, ids))

    @cached_property
    def split_rules(self) -> DataLoader[str, SplitRule | None]:
        """Agreed commissions by id."""
        return _one(lambda ids: self._engine.marketplace.rules.get_many(self._tenant, ids))

    @cached_property
    def splits(self) -> DataLoader[str, Divided | None]:
        """A payment's division."""
        return _one(lambda ids: self._engine.marketplace.splits.of_payments(self._tenant, ids))

    @cached_property
    def escrows(self) -> DataLoader[str, EscrowHold | None]:
        """Escrows by id."""
        return _one(lambda ids: self._engine.marketplace.escrows.get_many(self._tenant, ids))

    @cached_property
    def escrow_releases(self) -> DataLoader[str, list[EscrowRelease]]:
        """What left an escrow."""
        return _many(lambda ids: self._engine.marketplace.escrows.releases_of(self._tenant, ids))

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
    def payouts(self) -> DataLoader[str, Payout | None]:
        """Payouts by id."""
        return _one(lambda ids: self._engine.treasury.get_many(self._tenant, ids))

    @cached_property
    def payout_batches(self) -> DataLoader[str, PayoutBatch | None]:
        """What was sent together, by id."""
        return _one(lambda ids: self._engine.treasury.batches(self._tenant, ids))

    @cached_property
    def payout_destinations(self) -> DataLoader[str, Destination | None]:
        """Where payouts go, by id."""
        destinations = self._engine.treasury.destinations
        return _one(lambda ids: destinations.get_many(self._tenant, ids))

    @cached_property
    def payout_evidence(self) -> DataLoader[str, list[PayoutEvidence]]:
        """Why a payout's state is believed."""
        return _many(lambda ids: self._engine.treasury.evidence_of(self._tenant, ids))

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
