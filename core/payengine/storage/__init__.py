"""Which rows may this tenant see?

`Database` opens transactions, one role and one tenant each; `migrate` keeps the tables' shape.
"""

from __future__ import annotations

from payengine.storage.database import Counters, Database
from payengine.storage.migrate import migrate
from payengine.storage.session import Session

__all__ = ["Counters", "Database", "Session", "migrate"]
