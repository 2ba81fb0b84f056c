"""How are subscriptions, coupons and test clocks shown and changed?"""

from __future__ import annotations
