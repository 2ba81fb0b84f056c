"""Where does an account's money go?

One destination for each currency. What names the bank account is sealed; another bank account is
another row, so that an order can always be repeated as it was.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

import msgspec

from payengine.context import TenantContext
from payengine.errors import InputInvalid, NotFound, PluginNotEnabled
from payengine.idempotency import check_key, claim, fingerprint
from payengine.ids import new_id
from payengine.marketplace.treasury import store
from payengine.marketplace.treasury.creation import may_carry
from payengine.marketplace.treasury.inputs import SavePayoutDestination
from payengine.marketplace.treasury.means import Means
from payengine.marketplace.treasury.models import Destination
from payengine.money import currency as find_currency
from payengine.plugin import PayoutDestination
from payengine.storage import Session
from payengine.texts import check_id, check_text
from payengine.vault import Vault

__all__ = ["Destinations", "open_destination"]

_TABLE = "payout_destination"
_NUMBER = re.compile(r"[!-~]{1,255}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_COUNTRY = re.compile(r"[A-Z]{2}|")

_INSERT = f"""
    INSERT INTO payout_destination (tenant_id, {store.DESTINATION.listed}, sealed)
    VALUES ($1, {store.DESTINATION.parameters(2)}, ${2 + len(store.DESTINATION.names)})
"""

_REPLACE = """
    UPDATE payout_destination SET status = 'replaced', updated_at = $4
    WHERE tenant_id = $1 AND account_id = $2 AND currency = $3 AND status <> 'replaced'
"""

_OF_ACCOUNTS = f"""
    SELECT {store.DESTINATION.listed} FROM payout_destination
    WHERE tenant_id = $1 AND account_id = ANY ($2) AND status <> 'replaced'
    ORDER BY account_id, currency
"""

_BY_ID = f"""
    SELECT {store.DESTINATION.listed} FROM payout_destination
    WHERE tenant_id = $1 AND id = ANY ($2)
"""

_SEALED = "SELECT sealed FROM payout_destination WHERE tenant_id = $1 AND id = $2"
_LOCK_ACCOUNT = "SELECT id FROM connected_account WHERE tenant_id = $1 AND id = $2 FOR UPDATE"


class Destinations:
    """The destinations of a tenant's accounts."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def save(self, context: TenantContext, request: SavePayoutDestination) -> Destination:
        """Let the account's money of this currency go there from now on.

        What is under way goes where it was sent. Raises `NotFound`, `InputInvalid`,
        `PluginNotFound`, `PluginNotEnabled`, `SensitiveDataRefused`.
        """
        context.require("payouts:write")
        check_key(request.idempotency_key)
        check_id(request.account_id, "acc", field="accountId")
        find_currency(request.currency)
        number = _checked(request)
        await self._check_rail(context, request)
        at = self._means.clock.now(context.tenant_id)
        made = Destination(
            id=new_id("pds"),
            account_id=request.account_id,
            currency=request.currency,
            rail=request.rail,
            kind=request.kind,
            country=request.country,
            label=f"…{number[-4:]}" if len(number) > 8 else "…",
            status="usable",
            created_at=at,
            updated_at=at,
        )
        named = PayoutDestination(
            kind=request.kind, number=number, holder=request.holder, country=request.country
        )
        async with self._means.database.tenant(context.tenant_id) as session:
            earlier = await claim(
                session,
                context.tenant_id,
                key=request.idempotency_key,
                mutation="savePayoutDestination",
                fingerprint=fingerprint("savePayoutDestination", request),
                resource_id=made.id,
                at=at,
            )
            if earlier is None:
                await self._replace(session, context, made, named)
            rows = await session.fetch(_BY_ID, context.tenant_id, [earlier or made.id])
        return store.DESTINATION.read(rows[0])

    async def get_many(self, context: TenantContext, ids: Sequence[str]) -> dict[str, Destination]:
        """The destinations that exist, by id; replaced ones too."""
        context.require("payouts:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_BY_ID, context.tenant_id, list(ids))
        return {row["id"]: store.DESTINATION.read(row) for row in rows}

    async def of_account(self, context: TenantContext, account_id: str) -> list[Destination]:
        """The account's destinations that hold now, one for each currency."""
        context.require("payouts:read")
        async with self._means.database.tenant(context.tenant_id) as session:
            rows = await session.fetch(_OF_ACCOUNTS, context.tenant_id, [account_id])
        return [store.DESTINATION.read(row) for row in rows]

    async def _check_rail(self, context: TenantContext, request: SavePayoutDestination) -> None:
        rail = self._means.rails.rail(request.rail)
        if rail not in await self._means.rails.for_tenant(context):
            raise PluginNotEnabled(f"{rail.manifest.title} is not enabled for this tenant.")
        if not may_carry(
            rail.manifest,
            currency=request.currency,
            kind=request.kind,
            country=request.country,
        ):
            raise InputInvalid(
                f"{rail.manifest.title} does not pay {request.currency} to such a destination.",
                path=("kind",),
            )

    async def _replace(
        self,
        session: Session,
        context: TenantContext,
        made: Destination,
        named: PayoutDestination,
    ) -> None:
        tenant_id = context.tenant_id
        if await session.fetchval(_LOCK_ACCOUNT, tenant_id, made.account_id) is None:
            raise NotFound("There is no such account.", path=("accountId",))
        await session.execute(_REPLACE, tenant_id, made.account_id, made.currency, made.created_at)
        sealed = await self._means.vault.seal(
            session,
            tenant_id,
            msgspec.json.encode(named).decode(),
            table=_TABLE,
            row=made.id,
            column="sealed",
        )
        await session.execute(_INSERT, tenant_id, *store.DESTINATION.values(made), sealed)


async def open_destination(
    session: Session, vault: Vault, tenant_id: uuid.UUID, destination_id: str
) -> PayoutDestination:
    """What the rail must know; raises what the vault raises."""
    sealed = await session.fetchval(_SEALED, tenant_id, destination_id)
    opened = await vault.open(
        session, tenant_id, sealed, table=_TABLE, row=destination_id, column="sealed"
    )
    return msgspec.json.decode(opened, type=PayoutDestination)


def _checked(request: SavePayoutDestination) -> str:
    """The number as it is kept: an IBAN without spaces, its check digits right (ISO 13616)."""
    check_text(request.holder, field="holder", most=70)
    if not _COUNTRY.fullmatch(request.country):
        raise InputInvalid("A country is two capital letters.", path=("country",))
    number = request.number
    if request.kind == "iban":
        number = number.replace(" ", "").upper()
        if not _IBAN.fullmatch(number) or _remainder(number) != 1:
            raise InputInvalid("This is no IBAN.", path=("number",))
        if not request.holder:
            raise InputInvalid("A bank asks for the holder's name.", path=("holder",))
        return number
    check_text(number, field="number", most=255)
    if not _NUMBER.fullmatch(number):
        raise InputInvalid("A token is 1 to 255 printable characters.", path=("number",))
    return number


def _remainder(iban: str) -> int:
    """Of 97 (ISO 7064), with letters as 10 to 35 and the first four characters at the end."""
    return int("".join(str(int(one, 36)) for one in iban[4:] + iban[:4])) % 97
