"""Which calls does a notifier answer?

A notifier carries words to the tenant's customers: by e-mail, by a message, into a log. It gets a
notice that is written out already, in the tenant's language, and delivers it. The same notice may
come again, after a crash or where no answer was heard: its `id` is the same then.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import msgspec

from payengine.plugin.manifest import CONTRACT_VERSION
from payengine.plugin.messages import Amount, Call, Message
from payengine.plugin.settings import PluginSettings

__all__ = ["CustomerNotice", "NoticeKind", "NoticeTaken", "Notifier", "NotifierManifest"]

NoticeKind = Literal["payment_failed", "payment_recovered", "subscription_canceled"]


class NotifierManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one notifier declares of itself.

    `needs_email`: it tells nobody of whom no e-mail address is known, and is not asked to.
    `max_concurrency` bounds its calls from one process.
    """

    name: str
    title: str
    version: str
    contract: str = CONTRACT_VERSION
    needs_email: bool = False
    max_concurrency: int = 16
    settings: type[PluginSettings] = PluginSettings


class CustomerNotice(Message, frozen=True, kw_only=True):
    """What is to be told, to whom, and in which words.

    `id` is the same however often it is sent. `text` holds the whole message, with the `link` to
    the page where the customer can pay, where there is one. `language` is a tag such as "de".
    """

    id: str
    kind: NoticeKind
    invoice_id: str
    customer_id: str
    language: str
    subject: str
    text: str
    amount: Amount
    email: str = ""
    name: str = ""
    link: str = ""

    def __repr__(self) -> str:
        """Without what is personal, and without the link, which lets who has it pay."""
        return f"CustomerNotice(id={self.id!r}, kind={self.kind!r})"


class NoticeTaken(Message, frozen=True, kw_only=True):
    """The notice is on its way; `reference` is the carrier's own name for it, if it has one."""

    reference: str = ""


@runtime_checkable
class Notifier(Protocol):
    """A carrier of notices."""

    def describe(self) -> NotifierManifest:
        """The notifier's manifest; pure and constant."""
        ...

    async def notify(self, call: Call, request: CustomerNotice) -> NoticeTaken:
        """Deliver the notice; raises anything where it is not certain that it is on its way."""
        ...
