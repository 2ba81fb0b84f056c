"""What can a tenant set for its sandbox?"""

from __future__ import annotations

from typing import Annotated

import msgspec
from payengine.plugin import PluginSettings, Secret

__all__ = ["DEFAULT_WEBHOOK_SECRET", "PerMille", "SandboxSettings"]

#: Known to everybody: the sandbox exists in test worlds only and moves no money.
DEFAULT_WEBHOOK_SECRET = "whsec_c2FuZGJveC1kZWZhdWx0LXNlY3JldA=="  # noqa: S105

#: A probability in thousandths.
PerMille = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class SandboxSettings(PluginSettings, frozen=True, kw_only=True):
    """Fees, webhooks and the seeded chaos, which is off by default.

    The rates say in how many of a thousand money calls each fault strikes; which calls they are
    is a pure function of the seed. `chaos_lookups` lets errors, hangs and garbage strike lookups
    too. `base_url` is where the buyer's browser finds the challenge page; empty means this
    machine. Times are in milliseconds, fees in ten-thousandths and in minor units.
    """

    webhook_secret: Secret = DEFAULT_WEBHOOK_SECRET
    webhook_url: str = ""
    base_url: str = ""
    fee_bps: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 290
    fee_fixed_minor: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 30
    hold_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 7
    pending_ms: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)] = 1_000
    late_ms: Annotated[int, msgspec.Meta(ge=0, le=86_400_000)] = 1_000
    slow_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 300
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    error_before: PerMille = 0
    error_after: PerMille = 0
    hang_before: PerMille = 0
    hang_after: PerMille = 0
    late_success: PerMille = 0
    garbage: PerMille = 0
    chaos_lookups: bool = False
