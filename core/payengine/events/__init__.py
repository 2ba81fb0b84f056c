"""What happened, in which order, and who has been told?"""

from __future__ import annotations

from payengine.events.feed import Feed
from payengine.events.log import EventLog
from payengine.events.models import Cursor, Event, EventFilter, NewEvent, Resync
from payengine.events.relay import publish_batch

__all__ = [
    "Cursor",
    "Event",
    "EventFilter",
    "EventLog",
    "Feed",
    "NewEvent",
    "Resync",
    "publish_batch",
]
