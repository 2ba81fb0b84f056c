"""What did the client ask, and may it?

A document is parsed and validated once and kept, bounded in number and in bytes. What is refused
is never kept. Each step is bounded before it begins: bytes before parsing, tokens while parsing,
cost before validation.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql.error import GraphQLSyntaxError
from payengine.errors import QueryRefused
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    parse,
    specified_rules,
    validate,
)
from payengine_graphql.cost import MAX_COST, Price, cost_with, prices_of
from payengine_graphql.plans import Plan, plan_of
from payengine_graphql.refusals import QueryInvalid

__all__ = ["MAX_SOURCE", "MAX_TOKENS", "DocumentInvalid", "Documents", "Prepared"]

MAX_TOKENS = 2_000
MAX_SOURCE = 32_768
_MAX_COMMENTS = 500
_MAX_DOCUMENTS = 512
#: Bytes of source text; a kept document takes some 60 times the memory of its text.
_MAX_KEPT_BYTES = 512 * 1024
_MAX_ERRORS = 10


class DocumentInvalid(Exception):
    """The document does not parse or does not fit the schema; `errors` say where."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        self.errors = errors
        super().__init__(str(errors[0]))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document that may run."""

    schema: GraphQLSchema
    document: DocumentNode
    operations: Mapping[str | None, OperationDefinitionNode]
    prices: Mapping[str | None, Price]
    #: By the operation's name; a document that comes once is not worth a plan.
    plans: dict[str | None, Plan | None] = field(default_factory=dict)
    planned: set[str | None] = field(default_factory=set)

    def plan(self, node: OperationDefinitionNode) -> Plan | None:
        """The operation's plan, made when it runs the second time; None where there is none."""
        name = node.name.value if node.name else None
        if name not in self.plans:
            self.plans[name] = None
            return None
        plan = self.plans[name]
        if plan is None and name not in self.planned:
            self.planned.add(name)
            plan = self.plans[name] = plan_of(self.schema, self.document, node)
        return plan

    def operation(self, name: str | None, variables: Mapping[str, Any]) -> OperationDefinitionNode:
        """The operation to run; raises `QueryInvalid` or `QueryRefused` (too costly)."""
        if name is None and len(self.operations) == 1:
            name = next(iter(self.operations))
        node = self.operations.get(name)
        if node is None:
            raise QueryInvalid("Name one operation of the document in operationName.")
        price = self.prices[name]
        cost = price.cost
        if cost > MAX_COST and price.depends:
            cost = cost_with(self.schema, self.document, node, variables)
        if cost > MAX_COST:
            raise QueryRefused(
                f"The operation costs more than {MAX_COST}: ask for smaller pages or less in them."
            )
        return node


class Documents:
    """Parsed and validated documents by the hash of their text, the least used dropped first."""

    def __init__(self, schema: GraphQLSchema, *, is_development: bool) -> None:
        """In production introspection and suggestions are off and locations are not kept."""
        self._schema = schema
        self._is_development = is_development
        self._kept: OrderedDict[bytes, tuple[Prepared, int]] = OrderedDict()
        self._bytes = 0
        rules: list[type[ASTValidationRule]] = [
            *specified_rules,
            MaybeNullValidationRule,
            OneOfInputValidationRule,
        ]
        if not is_development:
            rules.append(NoSchemaIntrospectionCustomRule)
        self._rules = tuple(rules)

    def prepare(self, text: str) -> Prepared:
        """The document of this text; raises `DocumentInvalid` or `QueryRefused`."""
        source = text.encode(errors="replace")
        name = hashlib.blake2b(source, digest_size=16).digest()
        found = self._kept.get(name)
        if found is not None:
            self._kept.move_to_end(name)
            return found[0]
        prepared = self._read(text)
        self._keep(name, prepared, len(source))
        return prepared

    def _read(self, text: str) -> Prepared:
        document = self._parse(text)
        prices = prices_of(self._schema, document)
        # A cost that only literals set is known to be too high before validation.
        if prices and all(price.cost > MAX_COST and not price.depends for price in prices.values()):
            raise QueryRefused(
                f"The operation costs more than {MAX_COST}: ask for smaller pages or less in them."
            )
        errors = validate(
            self._schema,
            document,
            self._rules,
            max_errors=_MAX_ERRORS,
            hide_suggestions=not self._is_development,
        )
        if errors:
            raise DocumentInvalid(errors)
        operations = {
            node.name.value if node.name else None: node
            for node in document.definitions
            if isinstance(node, OperationDefinitionNode)
        }
        return Prepared(self._schema, document, operations, prices)

    def _parse(self, text: str) -> DocumentNode:
        try:
            return parse(
                text,
                no_location=not self._is_development,
                max_lexical_tokens=MAX_TOKENS,
                max_comments=_MAX_COMMENTS,
                max_source_length=MAX_SOURCE,
            )
        except GraphQLSyntaxError as error:
            if "Parsing aborted" in error.message:
                raise QueryRefused(
                    f"The document has more than {MAX_TOKENS} tokens or {MAX_SOURCE} characters, "
                    "or is nested too deeply."
                ) from None
            raise DocumentInvalid([error]) from None

    def _keep(self, name: bytes, prepared: Prepared, size: int) -> None:
        self._kept[name] = (prepared, size)
        self._bytes += size
        while len(self._kept) > _MAX_DOCUMENTS or self._bytes > _MAX_KEPT_BYTES:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._bytes -= dropped
