"""Which gateways would another routing policy choose from?

Those that the tenant has enabled today. A gateway that charges network tokens takes the payments of
every wallet that is installed.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from payengine.context import TenantContext
from payengine.registry import Registry
from payengine.routing import Candidate, Router, Simulation

__all__ = ["simulate_routing"]


async def simulate_routing(
    context: TenantContext,
    policy: object,
    *,
    since: datetime,
    until: datetime,
    registry: Registry,
    router: Router,
) -> Simulation:
    """What the document `policy` would have done with the payments made in since ≤ at < until.

    Raises `RoutingPolicyInvalid`, `InputInvalid`, `PermissionDenied`.
    """
    context.require("routing:read")
    wallets = tuple(registry.installed.wallets)
    candidates = []
    for each in await registry.for_tenant(context):
        manifest = each.manifest
        if manifest.network_tokens:
            manifest = msgspec.structs.replace(manifest, methods=(*manifest.methods, *wallets))
        candidates.append(Candidate(name=each.name, manifest=manifest))
    return await router.past.simulate(context, policy, candidates, since=since, until=until)
