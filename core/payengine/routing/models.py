"""What is kept of a tenant's routing policies?

Each version is a row that never changes; which one holds is told by the activations, of which the
last counts. Both say who, when and why.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from payengine.routing.policy import DEFAULT_POLICY, Policy

__all__ = ["ActivePolicy", "DeclineCount", "RoutingActivation", "RoutingPolicy"]


class RoutingPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """One version; `document` spells the policy, `actor` saved it for `reason`."""

    id: str
    version: int
    document: dict[str, Any]
    reason: str
    actor: str
    created_at: datetime


class RoutingActivation(msgspec.Struct, frozen=True, kw_only=True):
    """From `created_at` on this policy held; None: the default."""

    id: str
    number: int
    policy_id: str | None
    reason: str
    actor: str
    created_at: datetime


class ActivePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a tenant; `id` is None and `version` 0 for the default."""

    policy: Policy = DEFAULT_POLICY
    id: str | None = None
    version: int = 0


class DeclineCount(msgspec.Struct, frozen=True, kw_only=True):
    """How often a gateway said one of its own codes; `code` is what the plugin made of it."""

    gateway: str
    raw_code: str
    code: str
    mapped: bool
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
