"""Where is a customer taxed, and how are they written to?

The place is plain, as calculators ask by it; the address is sealed by the vault.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import asyncpg
import msgspec

from payengine.billing.invoices.advancing import retry_failed
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import InputInvalid, NotFound
from payengine.idempotency import check_key, claim, fingerprint
from payengine.storage import Database
from payengine.texts import check_id, check_text
from payengine.vault import Vault

__all__ = ["BillingProfile", "Profiles", "SetBillingProfile"]

_COUNTRY = re.compile(r"[A-Z]{2}")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(-[a-zA-Z0-9]{1,8}){0,3}")
_MOST_LINES = 12


class BillingProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's billing details; `country` is its code of ISO 3166."""

    customer_id: str
    country: str | None = None
    region: str | None = None
    postal_code: str | None = None
    tax_exempt: bool = False
    language: str | None = None
    address: tuple[str, ...] = ()


class SetBillingProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Replaces the customer's billing details."""

    idempotency_key: str
    customer_id: str
    country: str | None = None
    region: str | None = None
    postal_code: str | None = None
    tax_exempt: bool = False
    language: str | None = None
    address: tuple[str, ...] = ()


_SET = """
    INSERT INTO billing_profile (tenant_id, customer_id, country, region, postal_code, tax_exempt,
                                 language, address_sealed, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (tenant_id, customer_id) DO UPDATE SET country = excluded.country,
        region = excluded.region, postal_code = excluded.postal_code,
        tax_exempt = excluded.tax_exempt, language = excluded.language,
        address_sealed = excluded.address_sealed, updated_at = excluded.updated_at
"""
_OF = """
    SELECT customer_id, country, region, postal_code, tax_exempt, language, address_sealed
    FROM billing_profile WHERE tenant_id = $1 AND customer_id = ANY ($2)
"""


class Profiles:
    """The billing details of all tenants' customers."""

    def __init__(self, *, database: Database, clock: Clock, vault: Vault) -> None:
        self._database = database
        self._clock = clock
        self._vault = vault

    async def of(
        self, context: TenantContext, customer_ids: Sequence[str]
    ) -> dict[str, BillingProfile]:
        """The details of those who have some."""
        context.require("billing:read")
        found = {}
        async with self._database.tenant(context.tenant_id) as session:
            for row in await session.fetch(_OF, context.tenant_id, list(customer_ids)):
                address = ""
                if row["address_sealed"] is not None:
                    address = await self._vault.open(
                        session,
                        context.tenant_id,
                        row["address_sealed"],
                        table="billing_profile",
                        row=row["customer_id"],
                        column="address_sealed",
                    )
                fields = {name: row[name] for name in _PLAIN}
                found[row["customer_id"]] = BillingProfile(
                    **fields, address=tuple(address.split("\n")) if address else ()
                )
        return found

    async def set(self, context: TenantContext, request: SetBillingProfile) -> BillingProfile:
        """Keep the details; raises `InputInvalid`, `NotFound`.

        What of this customer could not be renewed before is tried again.
        """
        context.require("billing:write")
        check_key(request.idempotency_key)
        _check(request)
        at = self._clock.now(context.tenant_id)
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await claim(
                    session,
                    context.tenant_id,
                    key=request.idempotency_key,
                    mutation="setBillingProfile",
                    fingerprint=fingerprint("setBillingProfile", request),
                    resource_id=request.customer_id,
                    at=at,
                )
                if earlier is None:
                    sealed = None
                    if request.address:
                        sealed = await self._vault.seal(
                            session,
                            context.tenant_id,
                            "\n".join(request.address),
                            table="billing_profile",
                            row=request.customer_id,
                            column="address_sealed",
                        )
                    plain = [getattr(request, name) for name in _PLAIN]
                    await session.execute(_SET, context.tenant_id, *plain, sealed, at)
                    await retry_failed(
                        session, context.tenant_id, at, customer_id=request.customer_id
                    )
        except asyncpg.ForeignKeyViolationError:
            raise NotFound("There is no such customer.", path=("customerId",)) from None
        return (await self.of(context, [request.customer_id]))[request.customer_id]


_PLAIN = ("customer_id", "country", "region", "postal_code", "tax_exempt", "language")


def _check(request: SetBillingProfile) -> None:
    check_id(request.customer_id, "cus", field="customerId")
    if request.country is not None and not _COUNTRY.fullmatch(request.country):
        raise InputInvalid("A country is two capital letters.", path=("country",))
    if request.language is not None and not _LANGUAGE.fullmatch(request.language):
        raise InputInvalid("A language is a tag such as de or de-AT.", path=("language",))
    check_text(request.region, field="region", most=60)
    check_text(request.postal_code, field="postalCode", most=20)
    if len(request.address) > _MOST_LINES:
        raise InputInvalid(f"An address has at most {_MOST_LINES} lines.", path=("address",))
    for line in request.address:
        check_text(line, field="address", most=200)
