"""What may the holder of a link see and do?

See what is owed on one invoice, and pay it: with a method that is saved already, or with a new one,
as the provider's token. Either goes through the collection, under the key of the charge that it
makes, so that a page that is sent twice pays once.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec

from payengine.billing.collection import rows
from payengine.billing.collection.hearing import hear, lock_subscription
from payengine.billing.collection.links import Links, RecoveryLink
from payengine.billing.collection.service import Collections
from payengine.billing.dunning_state import ENDED, OUT
from payengine.billing.dunning_words import MethodUpdated
from payengine.billing.settings import BillingSettings
from payengine.clock import Clock, wall_now
from payengine.context import Mode, TenantContext
from payengine.customers import Customers, SavePaymentMethod
from payengine.errors import Conflict, InputInvalid, RateLimited, RecoveryLinkInvalid
from payengine.idempotency import claim
from payengine.storage import Database, Session

__all__ = ["MOST_A_DAY", "Recovery", "RecoveryView", "SavedChoice"]

#: How often one invoice may be charged from its page within a day: nobody tries cards here.
MOST_A_DAY = 10

_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")

_GROUND = """
    SELECT tenant.name AS shop, tenant.mode, invoice.number, invoice.currency, invoice.status,
           invoice.amount_due - invoice.amount_paid AS owed, invoice.customer_id,
           invoice.subscription_id,
           (SELECT document FROM billing_setting WHERE tenant_id = $1
            ORDER BY version DESC LIMIT 1) AS settings
    FROM tenant JOIN invoice ON invoice.tenant_id = $1 AND invoice.id = $2
    WHERE tenant.id = $1
"""
_METHODS = """
    SELECT id, label FROM payment_method
    WHERE tenant_id = $1 AND customer_id = $2 AND detached_at IS NULL ORDER BY id DESC LIMIT 20
"""
_NEXT_ACTION = """
    SELECT payment.next_action_url FROM collection_charge
    JOIN payment ON payment.tenant_id = $1 AND payment.id = collection_charge.payment_id
    WHERE collection_charge.tenant_id = $1 AND collection_charge.invoice_id = $2
      AND payment.status = 'REQUIRES_ACTION'
    ORDER BY charge DESC LIMIT 1
"""
_TRIED = """
    SELECT count(*) FROM collection_charge
    WHERE tenant_id = $1 AND invoice_id = $2 AND return_url IS NOT NULL AND made_at > $3
"""
_NAME_METHOD = """
    UPDATE subscription SET payment_method_id = $3, version = version + 1
    WHERE tenant_id = $1 AND id = $2
"""


class SavedChoice(msgspec.Struct, frozen=True):
    """A saved method, by the words that its holder knows it by."""

    id: str
    label: str


class RecoveryView(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows.

    `is_open`: something is owed and may be paid. `is_under_way`: a charge is out. The customer has
    to go to `next_action_url` where their bank asks for something.
    """

    shop: str
    mode: Mode
    language: str
    color: str
    number: str
    owed_minor: int
    currency: str
    is_paid: bool
    is_open: bool
    is_under_way: bool
    next_action_url: str | None
    methods: tuple[SavedChoice, ...]


class Recovery:
    """The pages of all tenants' customers; the link is all that tells who comes."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        customers: Customers,
        collections: Collections,
        links: Links,
    ) -> None:
        self._database = database
        self._clock = clock
        self._customers = customers
        self._collections = collections
        self._links = links

    async def look(self, token: str) -> RecoveryView:
        """What is owed; raises `RecoveryLinkInvalid`."""
        link = await self._links.read(token, wall=wall_now())
        async with self._database.tenant(link.tenant_id) as session:
            return await _view(session, link)

    async def refresh(self, token: str) -> RecoveryView:
        """As `look`, after the payment was asked what the customer has done at their bank."""
        link = await self._links.read(token, wall=wall_now())
        # Who has come back from their bank does not wait for the next look.
        await self._collections.look_now(link.tenant_id, link.invoice_id)
        return await self.look(token)

    async def pay(
        self,
        token: str,
        *,
        nonce: str,
        return_url: str,
        method_id: str | None = None,
        method_token: str | None = None,
    ) -> RecoveryView:
        """Pay what is owed, by a saved method or by a new one, which is saved.

        The same `nonce` pays once. Raises `RecoveryLinkInvalid`, `Conflict` where nothing may be
        paid now, `RateLimited`, and what saving a method raises.
        """
        link = await self._links.read(token, wall=wall_now())
        if not _NONCE.fullmatch(nonce) or (method_id is None) == (method_token is None):
            raise InputInvalid("Choose one way to pay.")
        async with self._database.tenant(link.tenant_id) as session:
            view = await _view(session, link)
            ground = await session.fetchrow(_GROUND, link.tenant_id, link.invoice_id)
        assert ground is not None
        if not view.is_open:
            raise Conflict("Nothing can be paid here now.")
        if method_token is not None:
            context = TenantContext(
                link.tenant_id, view.mode, "recovery page", frozenset({"customers:write"})
            )
            saved = await self._customers.save_method(
                context,
                SavePaymentMethod(
                    idempotency_key=f"{link.invoice_id}_recover_{nonce}",
                    customer_id=ground["customer_id"],
                    token=method_token,
                ),
            )
            method_id = saved.id
        elif method_id not in {each.id for each in view.methods}:
            raise InputInvalid("Choose one way to pay.")
        assert method_id is not None
        await self._charge(
            link, method_id, ground["subscription_id"], nonce=nonce, return_url=return_url
        )
        await self._collections.work(link.tenant_id, link.invoice_id, wall=wall_now())
        return await self.look(token)

    async def _charge(
        self,
        link: RecoveryLink,
        method_id: str,
        subscription_id: str | None,
        *,
        nonce: str,
        return_url: str,
    ) -> None:
        """Let the collection hear of the method; the subscription keeps it for later periods."""
        tenant_id = link.tenant_id
        at = self._clock.now(tenant_id)
        async with self._database.tenant(tenant_id) as session:
            await lock_subscription(session, tenant_id, subscription_id)
            row = await rows.lock(session, tenant_id, link.invoice_id)
            if row is None or row.phase in ENDED:
                raise Conflict("Nothing can be paid here now.")
            if row.phase in OUT:
                return  # what was sent before is under way; it is not sent twice
            if await _was_sent(session, link, method_id, nonce=nonce, at=at):
                return
            await _check_rate(session, link, at=at)
            if subscription_id is not None:
                await session.execute(_NAME_METHOD, tenant_id, subscription_id, method_id)
            await hear(
                session,
                tenant_id,
                row,
                MethodUpdated(method=method_id),
                at=at,
                return_url=return_url,
            )


async def _was_sent(
    session: Session, link: RecoveryLink, method_id: str, *, nonce: str, at: datetime
) -> bool:
    """Whether this form was sent before, such as by going back in the browser."""
    earlier = await claim(
        session,
        link.tenant_id,
        key=f"{link.invoice_id}_recover_pay_{nonce}",
        mutation="recover",
        fingerprint=method_id.encode(),
        resource_id=link.invoice_id,
        at=at,
    )
    return earlier is not None


async def _check_rate(session: Session, link: RecoveryLink, *, at: datetime) -> None:
    since = at - timedelta(days=1)
    tried = await session.fetchval(_TRIED, link.tenant_id, link.invoice_id, since)
    if tried >= MOST_A_DAY:
        raise RateLimited("This invoice was tried too often today; try again tomorrow.")


async def _view(session: Session, link: RecoveryLink) -> RecoveryView:
    ground = await session.fetchrow(_GROUND, link.tenant_id, link.invoice_id)
    row = await rows.read(session, link.tenant_id, link.invoice_id)
    if ground is None or row is None:
        raise RecoveryLinkInvalid
    settings = msgspec.convert(ground["settings"] or {}, BillingSettings)
    saved = await session.fetch(_METHODS, link.tenant_id, ground["customer_id"])
    action = await session.fetchval(_NEXT_ACTION, link.tenant_id, link.invoice_id)
    is_owed = ground["status"] == "open" and ground["owed"] > 0 and row.phase not in ENDED
    return RecoveryView(
        shop=ground["shop"],
        mode=ground["mode"],
        language=settings.language,
        color=settings.color,
        number=f"{settings.invoice_prefix}{ground['number']}",
        owed_minor=max(ground["owed"], 0),
        currency=ground["currency"],
        is_paid=ground["status"] == "paid",
        is_open=is_owed and row.phase not in OUT,
        is_under_way=is_owed and row.phase in OUT,
        next_action_url=action if is_owed else None,
        methods=tuple(SavedChoice(each["id"], each["label"]) for each in saved),
    )
