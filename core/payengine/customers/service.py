"""How are customers and their payment methods kept?

Names, e-mail addresses and tokens are sealed by the vault, each for its own cell.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec

from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.customers.models import (
    CreateCustomer,
    Customer,
    DetachPaymentMethod,
    SavedMethod,
    SavePaymentMethod,
    UpdateCustomer,
)
from payengine.errors import Conflict, InputInvalid, NotFound
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.payments.checks import check_method
from payengine.payments.inputs import MethodInput
from payengine.storage import Database, Session
from payengine.texts import check_id, check_metadata, check_text
from payengine.vault import Vault

__all__ = ["Customers"]

_COLUMNS = "id, reference, email_sealed, name_sealed, metadata, created_at"
_METHOD_COLUMNS = "id, customer_id, kind, label, created_at, detached_at"

_INSERT = f"INSERT INTO customer (tenant_id, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)"

_UPDATE = """
    UPDATE customer
    SET email_sealed = coalesce($3, email_sealed), name_sealed = coalesce($4, name_sealed),
        metadata = coalesce($5::jsonb, metadata)
    WHERE tenant_id = $1 AND id = $2
"""

_BY_ID = f"SELECT {_COLUMNS} FROM customer WHERE tenant_id = $1 AND id = ANY ($2)"

_PAGE = f"""
    SELECT {_COLUMNS} FROM customer
    WHERE tenant_id = $1 AND id < coalesce($2, '~') ORDER BY id DESC LIMIT $3
"""

_INSERT_METHOD = """
    INSERT INTO payment_method
        (tenant_id, id, customer_id, kind, label, token_sealed, created_at, gateway, network)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

_DETACH = """
    UPDATE payment_method SET detached_at = $3
    WHERE tenant_id = $1 AND id = $2 AND detached_at IS NULL
"""

_METHODS_BY_ID = f"""
    SELECT {_METHOD_COLUMNS} FROM payment_method WHERE tenant_id = $1 AND id = ANY ($2)
"""

_METHODS_OF = f"""
    SELECT {_METHOD_COLUMNS} FROM payment_method
    WHERE tenant_id = $1 AND customer_id = ANY ($2) AND detached_at IS NULL ORDER BY id
"""


class Customers:
    """Customers and their saved payment methods."""

    def __init__(self, *, database: Database, vault: Vault, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._clock = clock

    async def create(self, context: TenantContext, request: CreateCustomer) -> Customer:
        """Make a customer; raises `Conflict` where the tenant's reference is taken."""
        context.require("customers:write")
        check_key(request.idempotency_key)
        check_text(request.reference, field="reference", most=200)
        _check_person(request.email, request.name)
        check_metadata(request.metadata)
        customer_id = new_id("cus")
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await self._claim(
                    session, context, "createCustomer", request, customer_id
                )
                if earlier is None:
                    await session.execute(
                        _INSERT,
                        context.tenant_id,
                        customer_id,
                        request.reference,
                        await self._seal(session, context, customer_id, "email", request.email),
                        await self._seal(session, context, customer_id, "name", request.name),
                        request.metadata,
                        self._clock.now(context.tenant_id),
                    )
                return await self._one(session, context, earlier or customer_id)
        except asyncpg.UniqueViolationError:
            raise Conflict("Another customer has this reference.", path=("reference",)) from None

    async def update(self, context: TenantContext, request: UpdateCustomer) -> Customer:
        """Change a customer; raises `NotFound`."""
        context.require("customers:write")
        check_key(request.idempotency_key)
        check_id(request.customer_id, "cus", field="customerId")
        _check_person(request.email, request.name)
        check_metadata(request.metadata or {})
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await self._claim(
                session, context, "updateCustomer", request, request.customer_id
            )
            if earlier is None:
                tag = await session.execute(
                    _UPDATE,
                    context.tenant_id,
                    request.customer_id,
                    await self._seal(session, context, request.customer_id, "email", request.email),
                    await self._seal(session, context, request.customer_id, "name", request.name),
                    request.metadata,
                )
                if tag != "UPDATE 1":
                    raise NotFound("There is no such customer.", path=("customerId",))
            return await self._one(session, context, request.customer_id)

    async def save_method(self, context: TenantContext, request: SavePaymentMethod) -> SavedMethod:
        """Keep a token for the customer; raises `NotFound`, `PaymentMethodInvalid`."""
        context.require("customers:write")
        check_key(request.idempotency_key)
        check_id(request.customer_id, "cus", field="customerId")
        check_method(
            MethodInput(token=request.token, kind=request.kind, gateway=request.gateway), None
        )
        check_text(request.label, field="label", most=100)
        check_text(request.network, field="network", most=40)
        method_id = new_id("pm")
        try:
            async with self._database.tenant(context.tenant_id) as session:
                earlier = await self._claim(
                    session, context, "savePaymentMethod", request, method_id
                )
                if earlier is None:
                    sealed = await self._vault.seal(
                        session,
                        context.tenant_id,
                        request.token,
                        table="payment_method",
                        row=method_id,
                        column="token_sealed",
                    )
                    await session.execute(
                        _INSERT_METHOD,
                        context.tenant_id,
                        method_id,
                        request.customer_id,
                        request.kind,
                        request.label or request.kind,
                        sealed,
                        self._clock.now(context.tenant_id),
                        request.gateway,
                        None if request.network is None else request.network.lower(),
                    )
                return await self._method(session, context, earlier or method_id)
        except asyncpg.ForeignKeyViolationError:
            raise NotFound("There is no such customer.", path=("customerId",)) from None

    async def detach_method(
        self, context: TenantContext, request: DetachPaymentMethod
    ) -> SavedMethod:
        """Take a method out of use; raises `NotFound`. Detaching twice changes nothing."""
        context.require("customers:write")
        check_key(request.idempotency_key)
        check_id(request.payment_method_id, "pm", field="paymentMethodId")
        async with self._database.tenant(context.tenant_id) as session:
            earlier = await self._claim(
                session, context, "detachPaymentMethod", request, request.payment_method_id
            )
            if earlier is None:
                await session.execute(
                    _DETACH,
                    context.tenant_id,
                    request.payment_method_id,
                    self._clock.now(context.tenant_id),
                )
            return await self._method(session, context, request.payment_method_id)

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Customer]:
        """The customers that exist, by id."""
        context.require("customers:read")
        async with self._database.tenant(context.tenant_id) as session:
            return await self._read(session, context, ids)

    async def page(
        self, context: TenantContext, *, first: int, after: str | None = None
    ) -> list[Customer]:
        """Newest first, after the customer `after`; one more than `first` where there is."""
        context.require("customers:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_PAGE, context.tenant_id, after, first + 1)
            return [await self._open(session, context, row) for row in rows]

    async def methods_by_id(
        self, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, SavedMethod]:
        """The saved methods that exist, by id; detached ones too."""
        context.require("customers:read")
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_METHODS_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: SavedMethod(**row) for row in rows}

    async def methods_of(
        self, context: TenantContext, customer_ids: Sequence[str]
    ) -> dict[str, list[SavedMethod]]:
        """Each customer's methods in use, oldest first."""
        context.require("customers:read")
        found: dict[str, list[SavedMethod]] = defaultdict(list)
        async with self._database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_METHODS_OF, context.tenant_id, list(customer_ids))
        for row in rows:
            found[row["customer_id"]].append(SavedMethod(**row))
        return found

    async def _claim(
        self,
        session: Session,
        context: TenantContext,
        mutation: str,
        request: msgspec.Struct,
        resource_id: str,
    ) -> str | None:
        key: str = request.idempotency_key  # type: ignore[attr-defined]
        return await claim(
            session,
            context.tenant_id,
            key=key,
            mutation=mutation,
            fingerprint=fingerprint(mutation, request),
            resource_id=resource_id,
            at=self._clock.now(context.tenant_id),
        )

    async def _seal(
        self,
        session: Session,
        context: TenantContext,
        customer_id: str,
        field: str,
        plaintext: str | None,
    ) -> bytes | None:
        if plaintext is None:
            return None
        return await self._vault.seal(
            session,
            context.tenant_id,
            plaintext,
            table="customer",
            row=customer_id,
            column=f"{field}_sealed",
        )

    async def _one(self, session: Session, context: TenantContext, customer_id: str) -> Customer:
        found = await self._read(session, context, [customer_id])
        if customer_id not in found:
            raise NotFound("There is no such customer.", path=("customerId",))
        return found[customer_id]

    async def _read(
        self, session: Session, context: TenantContext, ids: Sequence[str]
    ) -> dict[str, Customer]:
        rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: await self._open(session, context, row) for row in rows}

    async def _open(
        self, session: Session, context: TenantContext, row: Mapping[str, Any]
    ) -> Customer:
        opened = {
            field: await _opened(self._vault, session, context.tenant_id, row, field)
            for field in ("email", "name")
        }
        return Customer(
            id=row["id"],
            reference=row["reference"],
            metadata=row["metadata"],
            created_at=row["created_at"],
            **opened,
        )

    async def _method(
        self, session: Session, context: TenantContext, method_id: str
    ) -> SavedMethod:
        row = await session.fetchrow(
            f"SELECT {_METHOD_COLUMNS} FROM payment_method WHERE tenant_id = $1 AND id = $2",
            context.tenant_id,
            method_id,
        )
        if row is None:
            raise NotFound("There is no such payment method.", path=("paymentMethodId",))
        return SavedMethod(**row)


async def _opened(
    vault: Vault, session: Session, tenant_id: uuid.UUID, row: Mapping[str, Any], field: str
) -> str | None:
    sealed = row[f"{field}_sealed"]
    if sealed is None:
        return None
    return await vault.open(
        session, tenant_id, sealed, table="customer", row=row["id"], column=f"{field}_sealed"
    )


def _check_person(email: str | None, name: str | None) -> None:
    check_text(name, field="name", most=200)
    check_text(email, field="email", most=254)
    if email is not None and ("@" not in email or " " in email):
        raise InputInvalid("This is not an e-mail address.", path=("email",))
