"""What does a customer subscribe to, and what becomes of it?"""

from __future__ import annotations
