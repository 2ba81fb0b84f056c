"""What does this plugin bring? Notices as lines of the log."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import Notifier, hookimpl

__all__ = ["notifiers"]


@hookimpl
def notifiers() -> Sequence[Notifier]:
    """The notifier `log`."""
    from payengine_notify_log.notifier import LogNotifier

    return [LogNotifier()]
