"""At which rates are these customers taxed?

The tenant's calculator is a plugin, and may ask somebody far away: it is asked with no transaction
open, for all customers of a batch at once. What it does not tell is not known. Nothing is guessed:
such an invoice waits, and says why.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from payengine.billing.decimals import parse_decimal
from payengine.billing.invoice_lines import TaxRate, exact_rate
from payengine.billing.invoices.setting_store import load_settings
from payengine.billing.invoices.terms import NO_TAXES, STANDARD_CLASS, TaxAnswers, TaxTerms
from payengine.context import TenantContext
from payengine.errors import PayengineError
from payengine.plugin import AskTaxes, TaxPlace, ToldTaxes
from payengine.registry import CalculatorDesk
from payengine.storage import Database, Session

__all__ = ["TaxDesk"]

_DEADLINE_MS = 8_000
#: The classes that one tenant's products have.
_MOST_CLASSES = 1_000

_MODE = "SELECT mode FROM tenant WHERE id = $1"
_CLASSES = """
    SELECT DISTINCT metadata ->> 'taxClass' AS tax_class FROM product
    WHERE tenant_id = $1 AND metadata ? 'taxClass' LIMIT $2
"""
_PLACES = """
    SELECT customer_id, country, region, postal_code, tax_exempt FROM billing_profile
    WHERE tenant_id = $1 AND customer_id = ANY ($2)
"""


class TaxDesk:
    """The tenants' calculators, asked by billing."""

    def __init__(self, *, database: Database, calculators: CalculatorDesk) -> None:
        self._database = database
        self._calculators = calculators

    async def ask(
        self, tenant_id: uuid.UUID, customer_ids: Sequence[str], *, at: datetime
    ) -> TaxAnswers:
        """What the tenant's calculator says of these customers; call it outside of transactions.

        Raises nothing for a calculator that fails: the customers' terms then say so.
        """
        async with self._database.tenant(tenant_id) as session:
            settings = await load_settings(session, tenant_id)
            if settings.tax_calculator is None:
                return NO_TAXES
            mode = await session.fetchval(_MODE, tenant_id)
            classes = await _classes(session, tenant_id)
            places = await _places(session, tenant_id, customer_ids)
        context = TenantContext(tenant_id, mode, "billing", frozenset())
        request = AskTaxes(places=places, classes=classes, at=at)
        try:
            told = await self._calculators.ask(
                context, settings.tax_calculator, request, deadline_ms=_DEADLINE_MS
            )
        except PayengineError as unavailable:
            failed = TaxTerms(is_taxed=True, problem=unavailable.message)
            return TaxAnswers(is_taxed=True, by_customer=dict.fromkeys(customer_ids, failed))
        return TaxAnswers(is_taxed=True, by_customer=_terms(told, customer_ids))


async def _classes(session: Session, tenant_id: uuid.UUID) -> tuple[str, ...]:
    rows = await session.fetch(_CLASSES, tenant_id, _MOST_CLASSES)
    return tuple(sorted({STANDARD_CLASS, *(row["tax_class"] for row in rows)}))


async def _places(
    session: Session, tenant_id: uuid.UUID, customer_ids: Sequence[str]
) -> tuple[TaxPlace, ...]:
    rows = await session.fetch(_PLACES, tenant_id, list(customer_ids))
    known: dict[str, Mapping[str, Any]] = {row["customer_id"]: row for row in rows}
    return tuple(
        TaxPlace(customer=name)
        if name not in known
        else TaxPlace(
            customer=name,
            country=known[name]["country"],
            region=known[name]["region"],
            postal_code=known[name]["postal_code"],
            exempt=known[name]["tax_exempt"],
        )
        for name in customer_ids
    )


def _terms(told: ToldTaxes, customer_ids: Sequence[str]) -> dict[str, TaxTerms]:
    rates: dict[str, dict[str, TaxRate | None]] = {name: {} for name in customer_ids}
    problems: dict[str, str] = {}
    for each in told.rates:
        if each.customer not in rates:
            continue
        if each.problem:
            problems[each.customer] = each.problem
            continue
        try:
            rates[each.customer][each.tax_class] = _rate(each.bps)
        except PayengineError:
            problems[each.customer] = f"The calculator told {each.bps!r}, which is no rate."
    return {
        name: TaxTerms(is_taxed=True, rates=rates[name], problem=problems.get(name))
        for name in customer_ids
    }


def _rate(bps: str | None) -> TaxRate | None:
    if bps is None:
        return None
    rate = parse_decimal(bps, name="bps")
    exact_rate(rate)
    return int(rate) if rate == int(rate) else rate
