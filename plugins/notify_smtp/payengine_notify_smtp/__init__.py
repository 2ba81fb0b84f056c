"""What does this plugin bring? Notices as e-mail, by the tenant's own mail server."""

from __future__ import annotations

from collections.abc import Sequence

from payengine.plugin import Notifier, hookimpl

__all__ = ["notifiers"]


@hookimpl
def notifiers() -> Sequence[Notifier]:
    """The notifier `smtp`."""
    from payengine_notify_smtp.notifier import SmtpNotifier

    return [SmtpNotifier()]
