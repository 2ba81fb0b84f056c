"""May this document run?

One rule, linear in the size of the document: the cost of a selection is the sum of its fields',
and a list multiplies what it contains by its size. A fragment's cost is worked out once and added
at each use, so fragments that double each other cost what they would, without being expanded.
"""

from __future__ import annotations

from collections import Counter as Multiset
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from payengine.errors import QueryRefused

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
)

__all__ = ["MAX_COST", "MAX_FIELDS", "MAX_NESTING", "Price", "cost_with", "prices_of"]

#: What one request may cost; a leaf costs 1 and takes some 5 µs.
MAX_COST = 10_000
#: Levels of fields and fragments inside each other.
MAX_NESTING = 24
#: Field nodes in one document.
MAX_FIELDS = 500
#: How often one response name may stand under one type: merging compares each pair of them.
MAX_SAME_NAME = 50
MAX_PAGE = 100
#: A list that takes no size, such as a payment's attempts.
_USUAL_LIST = 10
_QUERY_ROOT_COST = 50
_MUTATION_ROOT_COST = 500
_INTROSPECTION_COST = 1_000
_INTROSPECTION = {"__schema": "__Schema", "__type": "__Type"}

_Composite = GraphQLObjectType | GraphQLInterfaceType


@dataclass(frozen=True, slots=True)
class Price:
    """The cost of one operation; `depends` says that variables set the size of a list."""

    cost: int
    depends: bool


def prices_of(schema: GraphQLSchema, document: DocumentNode) -> dict[str | None, Price]:
    """The price of each operation by its name; a size that a variable sets counts as 100.

    Works on documents that are not validated yet, and must run before validation: it bounds what
    validation would have to do. Raises `QueryRefused` where the document is nested too deeply,
    goes in circles or names too many fields, whatever it would cost.
    """
    counter = _Counter(schema, _fragments(document), None)
    costs = {
        node.name.value if node.name else None: counter.operation(node)
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    }
    for name in counter.fragments:
        counter.spread(name, level=1)
    return {name: Price(cost, counter.depends) for name, cost in costs.items()}


def cost_with(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> int:
    """The cost of `operation` with the sizes that `variables` give."""
    return _Counter(schema, _fragments(document), variables).operation(operation)


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {
        node.name.value: node
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }


@dataclass(slots=True)
class _Counter:
    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any] | None
    depends: bool = False
    fields: int = 0
    names: Multiset[tuple[str, str]] = field(default_factory=Multiset)
    #: A fragment's cost and height; None while they are being worked out.
    known: dict[str, tuple[int, int] | None] = field(default_factory=dict)

    def selections(
        self, node: SelectionSetNode, parent: _Composite | None, *, level: int
    ) -> tuple[int, int]:
        """The cost and the height of a selection."""
        if level > MAX_NESTING:
            raise QueryRefused(f"The document is nested more than {MAX_NESTING} levels deep.")
        cost = height = 0
        for selection in node.selections:
            child_cost, child_height = self._selection(selection, parent, level=level)
            cost = min(cost + child_cost, MAX_COST * MAX_COST)
            height = max(height, child_height)
        return cost, height + 1

    def operation(self, node: OperationDefinitionNode) -> int:
        """The cost of an operation: its selection, and a base for each field of the root."""
        root = self.schema.get_root_type(node.operation)
        cost, _ = self.selections(node.selection_set, root, level=1)
        is_mutation = node.operation is OperationType.MUTATION
        base = _MUTATION_ROOT_COST if is_mutation else _QUERY_ROOT_COST
        return cost + base * self._tops(node.selection_set, {})

    def _tops(self, node: SelectionSetNode, seen: dict[str, int]) -> int:
        """How many fields stand at the top, each use of a fragment counted; saturates."""
        total = 0
        for selection in node.selections:
            if isinstance(selection, FieldNode):
                total += 1
            elif isinstance(selection, InlineFragmentNode):
                total += self._tops(selection.selection_set, seen)
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                fragment = self.fragments.get(name)
                if name not in seen and fragment is not None:
                    seen[name] = self._tops(fragment.selection_set, seen)
                total += seen.get(name, 0)
        return min(total, MAX_COST)

    def _selection(
        self, node: SelectionNode, parent: _Composite | None, *, level: int
    ) -> tuple[int, int]:
        if isinstance(node, FieldNode):
            return self._field(node, parent, level=level)
        if isinstance(node, FragmentSpreadNode):
            return self.spread(node.name.value, level=level)
        assert isinstance(node, InlineFragmentNode)
        if node.type_condition is not None:
            parent = self._composite(node.type_condition.name.value)
        return self.selections(node.selection_set, parent, level=level + 1)

    def spread(self, name: str, *, level: int) -> tuple[int, int]:
        """The cost and the height of a fragment, worked out once."""
        if name in self.known:
            known = self.known[name]
            if known is None:
                raise QueryRefused(f"The fragment {name[:80]} contains itself.")
            if level + known[1] > MAX_NESTING:
                raise QueryRefused(f"The document is nested more than {MAX_NESTING} levels deep.")
            return known
        fragment = self.fragments.get(name)
        if fragment is None:
            return 0, 0  # validation names it
        self.known[name] = None
        parent = self._composite(fragment.type_condition.name.value)
        found = self.selections(fragment.selection_set, parent, level=level + 1)
        self.known[name] = found
        return found

    def _field(self, node: FieldNode, parent: _Composite | None, *, level: int) -> tuple[int, int]:
        self._count(node, parent)
        name = node.name.value
        definition = parent.fields.get(name) if parent is not None else None
        if node.selection_set is None:
            return 1, 0
        introspected = _INTROSPECTION.get(name)
        if introspected is not None:
            child = self._composite(introspected)
        else:
            child = _composite_of(definition)
        cost, height = self.selections(node.selection_set, child, level=level + 1)
        if introspected is not None:
            return _INTROSPECTION_COST + cost, height
        size = 1 if definition is None or parent is None else self._size(node, definition, parent)
        return 1 + size * cost, height

    def _count(self, node: FieldNode, parent: _Composite | None) -> None:
        self.fields += 1
        if self.fields > MAX_FIELDS:
            raise QueryRefused(f"The document names more than {MAX_FIELDS} fields.")
        name = node.alias.value if node.alias else node.name.value
        key = (parent.name if parent else "", name)
        self.names[key] += 1
        if self.names[key] > MAX_SAME_NAME:
            raise QueryRefused(f"The name {name[:80]} stands more than {MAX_SAME_NAME} times.")

    def _composite(self, name: str) -> _Composite | None:
        found = self.schema.get_type(name)
        return found if isinstance(found, _Composite) else None

    def _size(self, node: FieldNode, definition: GraphQLField, parent: _Composite) -> int:
        """How many objects a field may give."""
        if parent.name.startswith("__"):
            return 1
        if "first" in definition.args:
            return self._first(node, definition)
        if "ids" in definition.args:
            return self._ids(node)
        is_list = isinstance(get_nullable_type(definition.type), GraphQLList)
        if not is_list or parent.name.endswith("Connection"):
            return 1  # a connection's size was counted at the field that gives it
        return _USUAL_LIST

    def _first(self, node: FieldNode, definition: GraphQLField) -> int:
        value = _argument(node, "first")
        default = definition.args["first"].default_value
        if isinstance(value, IntValueNode):
            return _bounded(value.value)
        if isinstance(value, VariableNode):
            return _bounded(self._variable(value, MAX_PAGE))
        return _bounded(default)

    def _ids(self, node: FieldNode) -> int:
        value = _argument(node, "ids")
        if isinstance(value, ListValueNode):
            return max(len(value.values), 1)
        if isinstance(value, VariableNode):
            given = self._variable(value, None)
            return max(len(given), 1) if isinstance(given, list) else MAX_PAGE
        return 1

    def _variable(self, node: VariableNode, unknown: Any) -> Any:
        self.depends = True
        if self.variables is None:
            return unknown
        return self.variables.get(node.name.value, unknown)


def _composite_of(definition: GraphQLField | None) -> _Composite | None:
    child = get_named_type(definition.type) if definition is not None else None
    return child if isinstance(child, _Composite) else None


def _argument(node: FieldNode, name: str) -> Any:
    for argument in node.arguments or ():
        if argument.name.value == name:
            return argument.value
    return None


def _bounded(size: Any) -> int:
    """A page's size as it will be served: what is out of range is refused by the resolver."""
    if isinstance(size, str) and size.isdigit() and len(size) < 10:
        size = int(size)
    if isinstance(size, int) and not isinstance(size, bool):
        return min(max(size, 1), MAX_PAGE)
    return MAX_PAGE
