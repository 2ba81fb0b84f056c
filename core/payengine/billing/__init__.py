"""What is owed for which period?

Pure rules: they take their instants as arguments, compute with exact numbers, and round each line
once, half away from zero.
"""

from __future__ import annotations

from payengine.billing.decimals import parse_decimal, spell_decimal
from payengine.billing.entitlements import (
    Entitlement,
    EntitlementChange,
    Grant,
    ItemAccess,
    entitlement_changes,
    entitlements_at,
)
from payengine.billing.periods import Cadence, Interval, IntervalUnit, Period
from payengine.billing.phases import Phase, PhaseSpan, lay_out, phase_at, trial_end
from payengine.billing.pricing import (
    Flat,
    Graduated,
    Package,
    PerUnit,
    Price,
    PriceModel,
    Tier,
    Volume,
    exact_amount,
    line_amount,
    parse_model,
)
from payengine.billing.proration import (
    Item,
    ItemChange,
    Proration,
    ProrationHistory,
    ProrationTerms,
    opening_amount,
    prorate,
    prorate_change,
    prorate_history,
    prorate_restart,
    remaining_part,
)
from payengine.billing.usage import (
    Adjustment,
    FinalizedPeriod,
    Formula,
    UsageEvent,
    aggregate,
    check_event,
    check_timestamp,
    late_adjustment,
    place_event,
    receive,
    receive_all,
)

__all__ = [
    "Adjustment",
    "Cadence",
    "Entitlement",
    "EntitlementChange",
    "FinalizedPeriod",
    "Flat",
    "Formula",
    "Graduated",
    "Grant",
    "Interval",
    "IntervalUnit",
    "Item",
    "ItemAccess",
    "ItemChange",
    "Package",
    "PerUnit",
    "Period",
    "Phase",
    "PhaseSpan",
    "Price",
    "PriceModel",
    "Proration",
    "ProrationHistory",
    "ProrationTerms",
    "Tier",
    "UsageEvent",
    "Volume",
    "aggregate",
    "check_event",
    "check_timestamp",
    "entitlement_changes",
    "entitlements_at",
    "exact_amount",
    "late_adjustment",
    "lay_out",
    "line_amount",
    "opening_amount",
    "parse_decimal",
    "parse_model",
    "phase_at",
    "place_event",
    "prorate",
    "prorate_change",
    "prorate_history",
    "prorate_restart",
    "receive",
    "receive_all",
    "remaining_part",
    "spell_decimal",
    "trial_end",
]
