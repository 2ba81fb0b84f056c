"""Which rule judges by which tenant's model, in this process?

A model is compiled once and kept by its fingerprint: reading the rules anew asks only whether
another one was promoted meanwhile.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from typing import NamedTuple

import msgspec
import structlog

from payengine.fraud.model.shelf import promoted_document
from payengine.plugin.fraud import FraudRule
from payengine.plugin.trees import ModelInvalid, TakesModel, TreeModel, read
from payengine.registry import LoadedRule
from payengine.storage import Session

__all__ = ["BoundModels"]

_REMEMBERED = 200

_log = structlog.get_logger(__name__)


class _Bound(NamedTuple):
    sha256: str
    model: TreeModel
    rules: dict[str, FraudRule]


class BoundModels:
    """The promoted models of the tenants that this process judges for."""

    def __init__(self) -> None:
        self._kept: OrderedDict[uuid.UUID, _Bound] = OrderedDict()

    async def refresh(self, session: Session, tenant_id: uuid.UUID) -> None:
        """See which model the tenant promoted. One that cannot be read leaves the plugin's own."""
        kept = self._kept.get(tenant_id)
        found = await promoted_document(session, tenant_id, known=kept.sha256 if kept else "")
        if found is None:
            self._kept.pop(tenant_id, None)
            return
        sha256, document = found
        if document is None:
            self._kept.move_to_end(tenant_id)
            return
        try:
            model = await asyncio.to_thread(read, document)
        except ModelInvalid as problem:
            _log.error("fraud_model_unreadable", sha256=sha256, error=str(problem))
            self._kept.pop(tenant_id, None)
            return
        self._kept[tenant_id] = _Bound(sha256, model, {})
        self._kept.move_to_end(tenant_id)
        while len(self._kept) > _REMEMBERED:
            self._kept.popitem(last=False)

    def bound(self, loaded: LoadedRule, tenant_id: uuid.UUID) -> LoadedRule:
        """The rule, judging by the tenant's model where it takes one and the tenant has one."""
        kept = self._kept.get(tenant_id)
        if kept is None or loaded.hosted or not isinstance(loaded.rule, TakesModel):
            return loaded
        rule = kept.rules.get(loaded.name)
        if rule is None:
            rule = kept.rules[loaded.name] = loaded.rule.with_model(kept.model)
        return msgspec.structs.replace(loaded, rule=rule)
