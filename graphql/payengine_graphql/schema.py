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
from payengine_graphql.disputes import mutations as disputing
from payengine_graphql.disputes import queries as disputed
from payengine_graphql.fraud import mutations as judging
from payengine_graphql.fraud import queries as judged
from payengine_graphql.inbound import mutations as receiving
from payengine_graphql.inbound import queries as received
from payengine_graphql.lean import quicken
from payengine_graphql.review import mutations as reviewing
from payengine_graphql.review import queries as reviewed
from payengine_graphql.routing import mutations as routing
from payengine_graphql.routing import queries as routed
from payengine_graphql.scalars import SCALAR_MAP
from payengine_graphql.subscriptions import Subscription
from payengine_graphql.types.fields import read_column
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
