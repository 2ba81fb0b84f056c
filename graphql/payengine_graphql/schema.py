"""Which API is this?

`python -m payengine_graphql.schema > graphql/schema.graphql` writes the committed snapshot.
"""

from __future__ import annotations

import sys

import strawberry
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from graphql import GraphQLSchema
from payengine_graphql.lean import quicken
from payengine_graphql.mutations import Mutation
from payengine_graphql.queries import NODE_TYPES, Query
from payengine_graphql.scalars import SCALAR_MAP
from payengine_graphql.subscriptions import Subscription
from payengine_graphql.types.fields import read_column

__all__ = ["SCHEMA", "core_schema", "sdl"]

SCHEMA = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=NODE_TYPES,
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
