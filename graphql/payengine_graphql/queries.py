"""What may be read?"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated

import strawberry
from payengine.errors import CursorInvalid, InputInvalid, NotFound
from payengine.ids import is_id
from payengine_tenants.keys import ApiKey as ApiKeyRow

from payengine_graphql.catalogue.types import (
    Meter,
    Price,
    Product,
    read_meter,
    read_price,
    read_product,
)
from payengine_graphql.context import RequestContext, Wire
from payengine_graphql.disputes.types import Dispute, read_dispute
from payengine_graphql.exchange.types import Conversion, FxQuote, read_conversion, read_quote
from payengine_graphql.fraud.types import FraudAlert, FraudListEntry, read_alert, read_entry
from payengine_graphql.inbound.types import (
    GatewayEndpoint,
    ReceivedWebhook,
    read_endpoint,
    read_webhook,
)
from payengine_graphql.inputs import PaymentFilterInput, check_id
from payengine_graphql.invoices.types import (
    CreditNote,
    Invoice,
    read_credit_note,
    read_invoice,
)
from payengine_graphql.marketplace.types import (
    AccountTransfer,
    ConnectedAccount,
    Escrow,
    SplitRule,
    read_account,
    read_account_transfer,
    read_escrow,
    read_split_rule,
)
from payengine_graphql.payouts.types import Payout, read_payout
from payengine_graphql.review.types import Review, read_review
from payengine_graphql.routing.types import RoutingPolicy, read_policy
from payengine_graphql.scalars import DateTime
from payengine_graphql.settlements.types import (
    SettlementFile,
    SettlementItem,
    read_file,
    read_item,
)
from payengine_graphql.subscribed.types import (
    BillingSubscription,
    Coupon,
    read_coupon,
    read_subscription,
)
from payengine_graphql.types.customers import (
    Customer,
    SavedPaymentMethod,
    show_customer,
    show_method,
)
from payengine_graphql.types.events import Event
from payengine_graphql.types.fields import computed
from payengine_graphql.types.ledger import LedgerBalance
from payengine_graphql.types.nodes import (
    DEFAULT_PAGE,
    MAX_PAGE,
    Connection,
    Node,
    check_first,
    connect,
)
from payengine_graphql.types.payments import (
    Operation,
    Payment,
    Refund,
    show_operation,
    show_payment,
    show_refund,
)
from payengine_graphql.types.plugins import Plugin
from payengine_graphql.types.tenancy import ApiKey, Tenant, Viewer
from payengine_graphql.webhooks.types import (
    WebhookDelivery,
    WebhookEndpoint,
    WebhookRedelivery,
    read_delivery,
    read_redelivery,
)
from payengine_graphql.webhooks.types import read_endpoint as read_webhook_endpoint

__all__ = ["NODE_TYPES", "Query"]

#: Everything that `node` may give.
NODE_TYPES = (
    Product,
    Price,
    Meter,
    Payment,
    Operation,
    Refund,
    Customer,
    SavedPaymentMethod,
    Dispute,
    Review,
    FraudAlert,
    FraudListEntry,
    GatewayEndpoint,
    ReceivedWebhook,
    RoutingPolicy,
    Payout,
    ConnectedAccount,
    SplitRule,
    Escrow,
    AccountTransfer,
    WebhookEndpoint,
    WebhookDelivery,
    WebhookRedelivery,
    FxQuote,
    Conversion,
    SettlementFile,
    SettlementItem,
    Invoice,
    CreditNote,
    BillingSubscription,
    Coupon,
)

_ACCOUNT = re.compile(r"[A-Za-z0-9_.:/-]{0,100}")

_First = Annotated[int, strawberry.argument(description=f"The size of the page, 1 to {MAX_PAGE}.")]
_After = Annotated[
    str | None, strawberry.argument(description="A cursor: the page begins behind it.")
]
_Filter = Annotated[
    PaymentFilterInput | None, strawberry.argument(description="Which payments to list.")
]


def _id_argument(description: str) -> object:
    return strawberry.argument(description=description)


_PaymentId = Annotated[strawberry.ID, _id_argument("The payment's id, pay_….")]
_CustomerId = Annotated[strawberry.ID, _id_argument("The customer's id, cus_….")]
_NodeId = Annotated[strawberry.ID, _id_argument("The object's id.")]
_NodeIds = Annotated[list[strawberry.ID], _id_argument(f"Up to {MAX_PAGE} ids.")]
_At = Annotated[
    DateTime | None,
    strawberry.argument(description="As they stood then, that instant included; null: now."),
]
_Prefix = Annotated[
    str | None, strawberry.argument(description="Only accounts whose names begin so.")
]


@strawberry.type(description="What may be read.")
class Query:
    """See the description."""

    @computed("Who asks.")
    async def viewer(self, info: Wire) -> Viewer:
        """The key's tenant; needs no scope."""
        context = info.context
        tenant = await context.services.tenants.get(context.tenant.tenant_id)
        return Viewer(
            tenant=Tenant(row=tenant),
            actor=context.tenant.actor,
            scopes=sorted(context.tenant.scopes),
        )

    @computed("One payment. Needs the scope `payments:read`.")
    async def payment(self, info: Wire, id: _PaymentId) -> Payment | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        check_id(id, "pay", field="id")
        node = await _node(info.context, id)
        if node is None:
            raise NotFound("There is no such payment.", path=("id",))
        assert isinstance(node, Payment)
        return node

    @computed("Payments, the newest first. Needs `payments:read`.")
    async def payments(
        self,
        info: Wire,
        first: _First = DEFAULT_PAGE,
        after: _After = None,
        filter: _Filter = None,
    ) -> Connection[Payment]:
        """A page."""
        info.context.require("payments:read")
        rows = await info.context.engine.payments.page(
            info.context.tenant,
            (filter or PaymentFilterInput()).to_core(),
            first=check_first(first),
            after=_cursor(after, "pay"),
        )
        return connect(rows, first=first, after=after, show=show_payment, cursor=lambda row: row.id)

    @computed("One customer. Needs the scope `customers:read`.")
    async def customer(self, info: Wire, id: _CustomerId) -> Customer | None:
        """By id; NOT_FOUND where there is none in this tenant."""
        check_id(id, "cus", field="id")
        node = await _node(info.context, id)
        if node is None:
            raise NotFound("There is no such customer.", path=("id",))
        assert isinstance(node, Customer)
        return node

    @computed("Customers, the newest first. Needs `customers:read`.")
    async def customers(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[Customer]:
        """A page."""
        info.context.require("customers:read")
        rows = await info.context.engine.customers.page(
            info.context.tenant, first=check_first(first), after=_cursor(after, "cus")
        )
        return connect(
            rows, first=first, after=after, show=show_customer, cursor=lambda row: row.id
        )

    @computed("What happened, in its order. Needs the scope `events:read`.")
    async def events(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[Event]:
        """A page of the log; an event appears when it has its place."""
        info.context.require("events:read")
        rows = await info.context.engine.events.page(
            info.context.tenant, after=after, first=check_first(first) + 1
        )
        return connect(
            rows,
            first=first,
            after=after,
            show=lambda row: Event(row=row),
            cursor=lambda row: row.cursor,
        )

    @computed("The ledger's balances. Needs the scope `ledger:read`.")
    async def ledger_balances(
        self, info: Wire, prefix: _Prefix = None, at: _At = None
    ) -> list[LedgerBalance]:
        """Every account in every currency."""
        info.context.require("ledger:read")
        if prefix is not None and not _ACCOUNT.fullmatch(prefix):
            raise InputInvalid("This cannot begin an account's name.", path=("prefix",))
        rows = await info.context.engine.ledger.balances(info.context.tenant, prefix, at=at)
        return [LedgerBalance(row=row) for row in rows]

    @computed("Every installed plugin. Needs the scope `plugins:read`.")
    async def plugins(self, info: Wire) -> list[Plugin]:
        """As this tenant has set them up."""
        info.context.require("plugins:read")
        states = await info.context.engine.registry.describe(info.context.tenant)
        return [Plugin(row=state) for state in states]

    @computed("The API keys, the newest first. Needs the scope `keys:write`.")
    async def api_keys(
        self, info: Wire, first: _First = DEFAULT_PAGE, after: _After = None
    ) -> Connection[ApiKey]:
        """A page; revoked keys too."""
        info.context.require("keys:write")
        behind = _cursor(after, "key")
        rows: list[ApiKeyRow] = await info.context.services.keys.list(info.context.tenant)
        if behind is not None:
            rows = [row for row in rows if row.id < behind]
        return connect(
            rows[: check_first(first) + 1],
            first=first,
            after=after,
            show=lambda row: ApiKey(row=row),
            cursor=lambda row: row.id,
        )

    @computed("One object by its id; needs the scope of its type.")
    async def node(self, info: Wire, id: _NodeId) -> Node | None:
        """NOT_FOUND where there is none in this tenant."""
        check_id(id, *_READ_SCOPES, field="id")
        node = await _node(info.context, id)
        if node is None:
            raise NotFound("There is no such object.", path=("id",))
        return node

    @computed("Objects by their ids, in that order; null where there is none.")
    async def nodes(self, info: Wire, ids: _NodeIds) -> list[Node | None]:
        """In few statements."""
        if len(ids) > MAX_PAGE:
            raise InputInvalid(f"At most {MAX_PAGE} ids are allowed.", path=("ids",))
        for each in ids:
            check_id(each, *_READ_SCOPES, field="ids")
        return await asyncio.gather(*(_node(info.context, each) for each in ids))


_READ_SCOPES = {
    "pay": "payments:read",
    "op": "payments:read",
    "ref": "payments:read",
    "cus": "customers:read",
    "pm": "customers:read",
    "dsp": "disputes:read",
    "rev": "reviews:read",
    "fal": "fraud:read",
    "fle": "fraud:read",
    "gwe": "plugins:read",
    "po": "payouts:read",
    "rtp": "routing:read",
    "rwh": "webhooks:read",
    "whd": "webhooks:read",
    "whe": "webhooks:read",
    "whr": "webhooks:read",
    "mtr": "billing:read",
    "prc": "billing:read",
    "prd": "billing:read",
    "inv": "billing:read",
    "cno": "billing:read",
    "fxc": "fx:read",
    "fxq": "fx:read",
    "stf": "settlements:read",
    "sti": "settlements:read",
    "acc": "accounts:read",
    "spr": "accounts:read",
    "esc": "accounts:read",
    "atr": "accounts:read",
    "sub": "billing:read",
    "cpn": "billing:read",
}

#: How the nodes of the other rooms are read.
_READERS = {
    "mtr": read_meter,
    "prc": read_price,
    "prd": read_product,
    "dsp": read_dispute,
    "inv": read_invoice,
    "cno": read_credit_note,
    "rev": read_review,
    "fal": read_alert,
    "fle": read_entry,
    "gwe": read_endpoint,
    "po": read_payout,
    "rtp": read_policy,
    "rwh": read_webhook,
    "whd": read_delivery,
    "whe": read_webhook_endpoint,
    "whr": read_redelivery,
    "fxc": read_conversion,
    "fxq": read_quote,
    "stf": read_file,
    "sti": read_item,
    "acc": read_account,
    "spr": read_split_rule,
    "esc": read_escrow,
    "atr": read_account_transfer,
    "sub": read_subscription,
    "cpn": read_coupon,
}


def _cursor(after: str | None, prefix: str) -> str | None:
    """A list's cursor is the id of the object behind which the page begins."""
    if after is not None and not is_id(after, prefix):
        raise CursorInvalid(path=("after",))
    return after


async def _node(context: RequestContext, node_id: str) -> Node | None:
    prefix = node_id.partition("_")[0]
    context.require(_READ_SCOPES[prefix])
    if prefix in _READERS:
        return await _READERS[prefix](context, node_id)
    loaders = context.loaders
    if prefix == "pay":
        payment = await loaders.payments.load(node_id)
        return show_payment(payment) if payment else None
    if prefix == "cus":
        customer = await loaders.customers.load(node_id)
        return show_customer(customer) if customer else None
    if prefix == "pm":
        method = await loaders.methods_by_id.load(node_id)
        return show_method(method) if method else None
    operation = await loaders.operations_by_id.load(node_id)
    if operation is None:
        return None
    return show_refund(operation) if operation.kind == "refund" else show_operation(operation)
