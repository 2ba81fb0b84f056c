"""What does a subscription ask for, and when do two ask for the same?

A subscription's resolver answers with a `Watch`: which events, from where on, and how one is shown.
Two subscriptions are the same where tenant, scopes, document, operation and variables are; a
variable that only says from where on does not tell them apart.
"""

from __future__ import annotations

import hashlib
from collections import Counter as Multiset
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec
from payengine.context import TenantContext
from payengine.events import Event, EventFilter, Resync

from graphql import (
    DocumentNode,
    FieldNode,
    Node,
    OperationDefinitionNode,
    VariableDefinitionNode,
    VariableNode,
)

__all__ = ["Watch", "name_of"]

T = TypeVar("T")

_PLACE = "after"


@dataclass(frozen=True)
class Watch(AsyncIterator[T], Generic[T]):
    """What one subscription asks for; iterable for GraphQL's sake, but nobody iterates over it."""

    wanted: EventFilter
    after: str | None
    show: Callable[[Event | Resync], T]

    async def __anext__(self) -> T:
        raise StopAsyncIteration


def name_of(
    tenant: TenantContext,
    source: str,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> bytes:
    """The same bytes for the same subscription."""
    told = {
        name: value for name, value in variables.items() if name not in _places(document, operation)
    }
    key = [
        tenant.tenant_id.hex,
        tenant.mode,
        sorted(tenant.scopes),
        source,
        operation.name.value if operation.name else None,
        told,
    ]
    return hashlib.blake2b(msgspec.json.encode(key, order="deterministic"), digest_size=16).digest()


def _places(document: DocumentNode, operation: OperationDefinitionNode) -> set[str]:
    """Variables whose every use is as the place to go on from."""
    uses = Multiset(_variables(document))
    places = Multiset(
        argument.value.name.value
        for field in operation.selection_set.selections
        if isinstance(field, FieldNode)
        for argument in field.arguments or ()
        if argument.name.value == _PLACE and isinstance(argument.value, VariableNode)
    )
    return {name for name, count in places.items() if uses[name] == count}


def _variables(node: Node) -> Iterator[str]:
    """The variables used in a node, once for each use."""
    if isinstance(node, VariableNode):
        yield node.name.value
        return
    for key in node.keys:
        if key == "variable" and isinstance(node, VariableDefinitionNode):
            continue  # a definition is no use
        child = getattr(node, key, None)
        if isinstance(child, Node):
            yield from _variables(child)
        elif isinstance(child, list | tuple):
            for each in child:
                if isinstance(each, Node):
                    yield from _variables(each)
