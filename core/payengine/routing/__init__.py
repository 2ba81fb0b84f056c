"""Which gateway takes this payment, and which next?

A tenant's policy, the payment's facts and what is known of the gateways make an order that explains
itself. The decision is pure; this room also keeps the policies, learns how the gateways do, and
tells what another policy would have done.
"""

from __future__ import annotations

from payengine.routing.choice import Choice, choose
from payengine.routing.declines import DeclineReport
from payengine.routing.facts import Candidate, Draw, Facts, Health, draw_of
from payengine.routing.models import (
    ActivePolicy,
    DeclineCount,
    RoutingActivation,
    RoutingPolicy,
)
from payengine.routing.policies import Policies
from payengine.routing.policy import (
    DEFAULT_POLICY,
    Fallback,
    Policy,
    parse_policy,
    policy_schema,
    spell_policy,
)
from payengine.routing.rates import Segment
from payengine.routing.router import Router, goes_on_after
from payengine.routing.simulate import PastPayment, Simulation, Simulator
from payengine.routing.statistics import Heard, Statistics

__all__ = [
    "DEFAULT_POLICY",
    "ActivePolicy",
    "Candidate",
    "Choice",
    "DeclineCount",
    "DeclineReport",
    "Draw",
    "Facts",
    "Fallback",
    "Health",
    "Heard",
    "PastPayment",
    "Policies",
    "Policy",
    "Router",
    "RoutingActivation",
    "RoutingPolicy",
    "Segment",
    "Simulation",
    "Simulator",
    "Statistics",
    "choose",
    "draw_of",
    "goes_on_after",
    "parse_policy",
    "policy_schema",
    "spell_policy",
]
