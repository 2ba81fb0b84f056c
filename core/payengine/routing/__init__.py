"""Which gateway takes this payment?

Pure: from the tenant's enabled gateways and the payment comes a choice that explains itself.
"""

from __future__ import annotations

from payengine.routing.choice import Candidate, Choice, choose

__all__ = ["Candidate", "Choice", "choose"]
