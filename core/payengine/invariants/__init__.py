"""Is everything as it must be?

One checker for tests, operators and CI: `payengine verify`.
"""

from __future__ import annotations

from payengine.invariants.checker import Breach, Report, verify

__all__ = ["Breach", "Report", "verify"]
