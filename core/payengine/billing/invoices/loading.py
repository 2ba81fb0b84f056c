"""Which terms do these subscriptions have?

Read for a whole batch, by few statements whatever its size: items with their prices, lines that
wait, coupons, balances and usage. For an invoice, waiting lines and balances are locked in the
order of their keys, so that two workers never take one line, nor wait for each other crosswise.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from payengine.billing.coupons import Coupon
from payengine.billing.invoice_lines import InvoiceLine
from payengine.billing.invoices.due import DueSubscription, closing_periods
from payengine.billing.invoices.setting_store import load_settings
from payengine.billing.invoices.terms import (
    NO_TAXES,
    STANDARD_CLASS,
    HeldCoupon,
    ItemTerms,
    PendingLine,
    TaxAnswers,
    Terms,
)
from payengine.billing.invoices.used import used_periods
from payengine.billing.models import CatalogPrice
from payengine.billing.settings import BillingSettings
from payengine.billing.usage import EARLIEST
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = ["load_customer_terms", "load_terms", "terms_of"]

_PRICE = Columns(CatalogPrice)
_DUE = Columns(DueSubscription)
_PREFIXED = ", ".join(f"price.{name} AS price_{name}" for name in _PRICE.names)

_SUBSCRIPTIONS = f"""
    SELECT {_DUE.listed} FROM subscription WHERE tenant_id = $1 AND id = ANY ($2)
"""

#: Those that ended lately are read too: usage of theirs may still be told, and is invoiced.
_ITEMS = f"""
    SELECT item.id, item.subscription_id, item.quantity, item.starts_at, item.ended_at,
           product.name AS product_name, product.metadata ->> 'taxClass' AS tax_class,
           meter.formula, {_PREFIXED}
    FROM unnest($2::text[], $3::timestamptz[]) AS asked (subscription_id, since)
    JOIN subscription_item AS item
        ON item.tenant_id = $1 AND item.subscription_id = asked.subscription_id
       AND (item.ended_at IS NULL OR item.ended_at > asked.since)
    JOIN price ON price.tenant_id = $1 AND price.id = item.price_id
    JOIN product ON product.tenant_id = $1 AND product.id = price.product_id
    LEFT JOIN meter ON meter.tenant_id = $1 AND meter.id = price.meter_id
    ORDER BY item.subscription_id, item.id
"""

#: Lines of other subscriptions are left alone: whoever holds those may take them.
_PENDING = """
    SELECT id, customer_id, subscription_id, currency, line FROM pending_line
    WHERE tenant_id = $1 AND customer_id = ANY ($2) AND invoice_id IS NULL
      AND (subscription_id IS NULL OR subscription_id = ANY ($3))
    ORDER BY customer_id, id
"""
_BALANCES = """
    SELECT customer_id, currency, balance FROM customer_balance
    WHERE tenant_id = $1 AND customer_id = ANY ($2) ORDER BY customer_id, currency
"""
_COUPONS = "SELECT id, terms FROM coupon WHERE tenant_id = $1 AND id = ANY ($2)"
_CLASSES = """
    SELECT id, metadata ->> 'taxClass' AS tax_class FROM product
    WHERE tenant_id = $1 AND id = ANY ($2) AND metadata ? 'taxClass'
"""


async def load_terms(
    session: Session,
    tenant_id: uuid.UUID,
    ids: Sequence[str],
    *,
    at: datetime,
    taxes: TaxAnswers = NO_TAXES,
    for_update: bool = False,
    closing: Mapping[str, datetime] | None = None,
) -> dict[str, Terms]:
    """The terms of the subscriptions that exist, by id.

    `at` says which periods are looked at: those that end by then, or the present one where none
    does. `closing` names an earlier end of the present period, as of one that is canceled now.
    Raises `InputInvalid` where what is stored spells nothing.
    """
    rows = [_DUE.read(row) for row in await session.fetch(_SUBSCRIPTIONS, tenant_id, list(ids))]
    settings = await load_settings(session, tenant_id)
    return await terms_of(
        session,
        tenant_id,
        rows,
        at={row.id: at for row in rows},
        settings=settings,
        taxes=taxes,
        for_update=for_update,
        closing=closing or {},
    )


async def terms_of(
    session: Session,
    tenant_id: uuid.UUID,
    rows: Sequence[DueSubscription],
    *,
    at: Mapping[str, datetime],
    settings: BillingSettings,
    taxes: TaxAnswers = NO_TAXES,
    for_update: bool = False,
    closing: Mapping[str, datetime] | None = None,
) -> dict[str, Terms]:
    """As `load_terms`, of rows that are read already; `at` is each one's own instant."""
    customers = sorted({row.customer_id for row in rows})
    items = await _items(session, tenant_id, rows)
    pending = await session.fetch(
        _locked(_PENDING, for_update, skip=True), tenant_id, customers, [row.id for row in rows]
    )
    balances = await _balances(session, tenant_id, customers, for_update=for_update)
    coupons = await _coupons(session, tenant_id, rows)
    closed = {row.id: closing_periods(row, at[row.id], (closing or {}).get(row.id)) for row in rows}
    used = await used_periods(session, tenant_id, rows, items=items, closed=closed)
    classes = await _classes(session, tenant_id, pending, taxes)
    found: dict[str, Terms] = {}
    given: set[str] = set()
    for row in rows:
        found[row.id] = Terms(
            customer_id=row.customer_id,
            currency=row.currency,
            subscription_id=row.id,
            items=tuple(item for item, _ in items.get(row.id, ())),
            used=tuple(used.get(row.id, ())),
            pending=_pending_of(row, pending, given),
            coupons=tuple(_held(each, coupons) for each in row.coupons),
            tax=taxes.of(row.customer_id),
            tax_rounding=settings.tax_rounding,
            product_classes=classes,
            balance=balances.get((row.customer_id, row.currency), 0),
            minimum_charge=settings.minimum_charge.get(row.currency, 0),
            policy=settings.dunning,
            payment_method_id=row.payment_method_id,
            first_at=row.period_end,
        )
    return found


async def load_customer_terms(
    session: Session,
    tenant_id: uuid.UUID,
    customer_id: str,
    currency: str,
    *,
    taxes: TaxAnswers = NO_TAXES,
    for_update: bool = False,
) -> Terms:
    """The terms of a customer's invoice that is about no stored subscription."""
    settings = await load_settings(session, tenant_id)
    rows = await session.fetch(
        _locked(_PENDING, for_update, skip=True), tenant_id, [customer_id], []
    )
    own = [row for row in rows if row["currency"] == currency]
    balances = await _balances(session, tenant_id, [customer_id], for_update=for_update)
    return Terms(
        customer_id=customer_id,
        currency=currency,
        pending=tuple(_line(row) for row in own),
        tax=taxes.of(customer_id),
        tax_rounding=settings.tax_rounding,
        product_classes=await _classes(session, tenant_id, own, taxes),
        balance=balances.get((customer_id, currency), 0),
        minimum_charge=settings.minimum_charge.get(currency, 0),
        policy=settings.dunning,
    )


def _locked(sql: str, for_update: bool, *, skip: bool = False) -> str:
    if not for_update:
        return sql
    return f"{sql} FOR UPDATE SKIP LOCKED" if skip else f"{sql} FOR UPDATE"


async def _items(
    session: Session, tenant_id: uuid.UUID, rows: Sequence[DueSubscription]
) -> dict[str, list[tuple[ItemTerms, str | None]]]:
    """Each subscription's items with the formula of their meters."""
    found: dict[str, list[tuple[ItemTerms, str | None]]] = {}
    kept: dict[str, CatalogPrice] = {}
    for row in await session.fetch(
        _ITEMS, tenant_id, [row.id for row in rows], [row.period_start - EARLIEST for row in rows]
    ):
        price = kept.get(row["price_id"])
        if price is None:
            price = CatalogPrice(**{name: row[f"price_{name}"] for name in _PRICE.names})
            kept[price.id] = price
        item = ItemTerms(
            id=row["id"],
            price=price,
            product_id=price.product_id,
            product_name=row["product_name"],
            tax_class=row["tax_class"] or STANDARD_CLASS,
            quantity=Decimal(row["quantity"]),
            starts_at=row["starts_at"],
            ended_at=row["ended_at"],
        )
        found.setdefault(row["subscription_id"], []).append((item, row["formula"]))
    return found


async def _balances(
    session: Session, tenant_id: uuid.UUID, customers: Sequence[str], *, for_update: bool
) -> dict[tuple[str, str], int]:
    rows = await session.fetch(_locked(_BALANCES, for_update), tenant_id, list(customers))
    return {(row["customer_id"], row["currency"]): row["balance"] for row in rows}


async def _coupons(
    session: Session, tenant_id: uuid.UUID, rows: Sequence[DueSubscription]
) -> dict[str, Coupon]:
    ids = sorted({each["coupon"] for row in rows for each in row.coupons})
    if not ids:
        return {}
    return {
        row["id"]: msgspec.structs.replace(msgspec.convert(row["terms"], Coupon), id=row["id"])
        for row in await session.fetch(_COUPONS, tenant_id, ids)
    }


def _held(spelled: Mapping[str, Any], coupons: Mapping[str, Coupon]) -> HeldCoupon:
    return HeldCoupon(
        coupon=coupons[spelled["coupon"]],
        since=_instant(spelled.get("since")),
        until=_instant(spelled.get("until")),
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


async def _classes(
    session: Session, tenant_id: uuid.UUID, pending: Sequence[Mapping[str, Any]], taxes: TaxAnswers
) -> dict[str, str]:
    """The tax classes of the products that waiting lines name."""
    products = sorted({row["line"]["product"] for row in pending if row["line"].get("product")})
    if not products or not taxes.is_taxed:
        return {}
    rows = await session.fetch(_CLASSES, tenant_id, products)
    return {row["id"]: row["tax_class"] for row in rows}


def _pending_of(
    row: DueSubscription, pending: Sequence[Mapping[str, Any]], given: set[str]
) -> tuple[PendingLine, ...]:
    """The subscription's own lines, and those of its customer that no other one has been given."""
    own = []
    for line in pending:
        if line["customer_id"] != row.customer_id or line["currency"] != row.currency:
            continue
        if line["subscription_id"] == row.id or (
            line["subscription_id"] is None and line["id"] not in given
        ):
            given.add(line["id"])
            own.append(_line(line))
    return tuple(own)


def _line(row: Mapping[str, Any]) -> PendingLine:
    return PendingLine(id=row["id"], line=msgspec.convert(row["line"], InvoiceLine, strict=False))
