"""Which line is written of a notice?

The names of things and the subject; no address and no name of a person. The link lets who reads it
pay, so it is shown in test worlds only, and only where the tenant wants it.
"""

from __future__ import annotations

import structlog
from payengine.plugin import (
    Call,
    CustomerNotice,
    NoticeTaken,
    NotifierManifest,
    PluginSettings,
)

__all__ = ["LogNotifier", "LogSettings"]

_log = structlog.get_logger("payengine_notify_log")


class LogSettings(PluginSettings, frozen=True, kw_only=True):
    """`show_link` writes the link to the payment page too, in test worlds."""

    show_link: bool = False


class LogNotifier:
    """Writes one line for each notice that it gets."""

    def describe(self) -> NotifierManifest:
        """The manifest; pure and constant."""
        return NotifierManifest(name="log", title="Log", version="0.1.0", settings=LogSettings)

    async def notify(self, call: Call, request: CustomerNotice) -> NoticeTaken:
        """Write the line."""
        settings = call.settings
        more = {}
        if isinstance(settings, LogSettings) and settings.show_link and call.mode == "test":
            more["link"] = request.link
        _log.info(
            "customer_notice",
            account=call.account,
            notice=request.id,
            kind=request.kind,
            invoice=request.invoice_id,
            customer=request.customer_id,
            language=request.language,
            subject=request.subject,
            **more,
        )
        return NoticeTaken(reference=request.id)
