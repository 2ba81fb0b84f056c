"""Which API is this?

`python -m payengine_graphql.schema > graphql/schema.graphql` writes the committed snapshot.
"""

from __future__ import annotations

import sys

import strawberry
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from graphql import GraphQLSchema
from payengine_graphql import mutations, queries
from payengine_graphql.catalogue import mutations as cataloguing
from payengine_graphql.catalogue import queries as catalogued
from payengine_graphql.collection import mutations as collecting
from payengine_graphql.collection import queries as collected
from payengine_graphql.disputes import mutations as disputing
from payengine_graphql.disputes import queries as disputed
from payengine_graphql.exchange import mutations as exchanging
from payengine_graphql.exchange import queries as exchanged
from payengine_graphql.fraud import mutations as judging
from payengine_graphql.fraud import queries as judged
from payengine_graphql.inbound import mutations as receiving
from payengine_graphql.inbound import queries as received
from payengine_graphql.invoices import mutations as invoicing
from payengine_graphql.invoices import queries as invoiced
from payengine_graphql.lean import quicken
from payengine_graphql.ledger import queries as booked
from payengine_graphql.marketplace import mutations as trading
from payengine_graphql.marketplace import queries as traded
from payengine_graphql.payouts import mutations as paying_out
from payengine_graphql.payouts import queries as paid_out
from payengine_graphql.review import mutations as reviewing
from payengine_graphql.review import queries as reviewed
from payengine_graphql.routing import mutations as routing
from payengine_graphql.routing import queries as routed
from payengine_graphql.scalars import SCALAR_MAP
from payengine_graphql.settlements import mutations as settling
from payengine_graphql.settlements import queries as settled
from payengine_graphql.subscribed import mutations as subscribing
from payengine_graphql.subscribed import queries as subscribed
from payengine_graphql.subscriptions import Subscription
from payengine_graphql.types.fields import read_column
from payengine_graphql.usage import mutations as metering
from payengine_graphql.usage import queries as metered
from payengine_graphql.wallets import mutations as wallets
from payengine_graphql.webhooks import mutations as telling
from payengine_graphql.webhooks import queries as told

__all__ = ["SCHEMA", "Mutation", "Query", "core_schema", "sdl"]


# Each room of the API brings a class of fields; here they become one root each.
@strawberry.type(description="What may be read.")
class Query(
    queries.Query,
    received.Query,
    told.Query,
    disputed.Query,
    reviewed.Query,
    judged.Query,
    routed.Query,
    catalogued.Query,
    metered.Query,
    collected.Query,
    paid_out.Query,
    exchanged.Query,
    settled.Query,
    booked.Query,
    traded.Query,
    subscribed.Query,
    invoiced.Query,
):
    """See the description."""


@strawberry.type(description="What may be done. A refusal by a gateway is a result, not an error.")
class Mutation(
    mutations.Mutation,
    receiving.Mutation,
    telling.Mutation,
    wallets.Mutation,
    disputing.Mutation,
    reviewing.Mutation,
    judging.Mutation,
    routing.Mutation,
    cataloguing.Mutation,
    metering.Mutation,
    collecting.Mutation,
    paying_out.Mutation,
    exchanging.Mutation,
    settling.Mutation,
    trading.Mutation,
    subscribing.Mutation,
    invoicing.Mutation,
):
    """See the description."""


SCHEMA = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=queries.NODE_TYPES,
    config=StrawberryConfig(scalar_map=SCALAR_MAP, default_resolver=read_column),
)
quicken(SCHEMA._schema)


def core_schema() -> GraphQLSchema:
    """The compiled schema, as graphql-core executes it."""
    return SCHEMA._schema


def sdl() -> str:
    """The schema in GraphQL's definition language, as it is committed."""
    return print_schema(SCHEMA).strip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(sdl())
