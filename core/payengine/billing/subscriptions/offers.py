"""Which prices does a subscription ask for, and may it have them?"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from payengine.billing.catalogue import price_of
from payengine.billing.invoices.terms import STANDARD_CLASS, ItemTerms
from payengine.billing.models import CatalogPrice
from payengine.billing.subscriptions.held import Offer
from payengine.billing.subscriptions.models import MOST_ITEMS, WantedItem
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.ids import new_id
from payengine.storage import Session
from payengine.storage.columns import Columns

__all__ = ["item_names", "load_offers", "offered"]

_PRICE = Columns(CatalogPrice)
_COLUMNS = ", ".join(f"price.{name}" for name in _PRICE.names)

_OFFERS = f"""
    SELECT {_COLUMNS}, product.name AS product_name,
           product.metadata ->> 'taxClass' AS tax_class,
           price.archived_at IS NOT NULL OR product.archived_at IS NOT NULL AS is_archived
    FROM price JOIN product ON product.tenant_id = $1 AND product.id = price.product_id
    WHERE price.tenant_id = $1 AND price.id = ANY ($2)
"""


async def load_offers(
    session: Session, tenant_id: uuid.UUID, price_ids: Iterable[str]
) -> dict[str, Offer]:
    """The prices that exist, by id; archived ones too."""
    ids = sorted(set(price_ids))
    if not ids:
        return {}
    return {
        row["id"]: Offer(
            price=_PRICE.read(row),
            product_name=row["product_name"],
            tax_class=row["tax_class"] or STANDARD_CLASS,
            is_archived=row["is_archived"],
        )
        for row in await session.fetch(_OFFERS, tenant_id, ids)
    }


def item_names(number: int) -> Iterator[str]:
    """Names of new items; in their order they are read back."""
    return iter(sorted(new_id("sit") for _ in range(number)))


def offered(
    wanted: Sequence[WantedItem],
    offers: Mapping[str, Offer],
    *,
    currency: str,
    at: datetime,
    names: Iterator[str] | None = None,
) -> tuple[ItemTerms, ...]:
    """New items of these prices from the instant on.

    Raises `NotFound` for no such price, `Conflict` for one that is archived, `InputInvalid`, and
    `PriceCurrencyNotAvailable`.
    """
    if not 1 <= len(wanted) <= MOST_ITEMS:
        raise InputInvalid(f"A subscription has 1 to {MOST_ITEMS} items.", path=("items",))
    names = names or item_names(len(wanted))
    found = []
    for each in wanted:
        offer = offers.get(each.price_id)
        if offer is None:
            raise NotFound("There is no such price.", path=("items", "priceId"))
        if offer.is_archived:
            raise Conflict("The price is archived.", path=("items", "priceId"))
        price_of(offer.price).amount_minor(each.quantity, currency=currency)
        found.append(
            ItemTerms(
                id=next(names),
                price=offer.price,
                product_id=offer.price.product_id,
                product_name=offer.product_name,
                tax_class=offer.tax_class,
                quantity=each.quantity,
                starts_at=at,
            )
        )
    if len({item.price.tax_behavior for item in found}) > 1:
        raise InputInvalid("Prices with and without tax do not go together.", path=("items",))
    return tuple(found)
