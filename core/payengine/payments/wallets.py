"""How does a wallet's token become something that a gateway can charge?

The token is opened before any transaction begins, in memory; its number and its cryptogram go
with the one request to the gateway and rest nowhere. What rests is a hash of the token's own
name, in the payment's first transaction, so that each token pays once in a tenant's world.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NoReturn

import msgspec

from payengine import idempotency
from payengine.clock import Clock
from payengine.context import TenantContext
from payengine.errors import PayengineError, WalletTokenRefused, WalletTokenReplayed
from payengine.idempotency import check_key, fingerprint
from payengine.money import currency
from payengine.payments.inputs import MethodInput
from payengine.payments.means import Means
from payengine.payments.models import Operation, Payment
from payengine.plugin import OpenedToken, PaymentMethod
from payengine.registry import EnabledGateway, Registry
from payengine.storage import Database, Session
from payengine.texts import check_text

__all__ = [
    "StartWalletSession",
    "WalletPayment",
    "gateways_for",
    "open_wallet",
    "start_wallet_session",
]

_MAX_NAME = 40
_MAX_DOMAIN = 255

_SPEND = """
    INSERT INTO wallet_token (tenant_id, wallet, hash, payment_id, created_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (tenant_id, wallet, hash) DO NOTHING
    RETURNING payment_id
"""

_SPENT = """
    SELECT payment_id FROM wallet_token WHERE tenant_id = $1 AND wallet = $2 AND hash = $3
"""


class WalletPayment:
    """A token that was opened, or why it was not. Shows nothing of it, and is not serialized."""

    __slots__ = ("_hash", "_opened", "_problem", "_wallet")

    def __init__(
        self, wallet: str, opened: OpenedToken | None, problem: PayengineError | None
    ) -> None:
        """One of `opened` and `problem` is given."""
        self._wallet = wallet
        self._opened = opened
        self._problem = problem
        name = f"{wallet}\x1f{opened.token_id}" if opened else ""
        self._hash = sha256(name.encode()).digest()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("what a wallet's token holds is never serialized")

    @property
    def name(self) -> str:
        """What stands for the token in stored requests; it charges nothing."""
        return f"wallet_{self._hash.hex()[:32]}"

    def method(self) -> PaymentMethod:
        """The method with its network token; raises the typed error that stopped it."""
        return PaymentMethod(
            token=self.name, kind=self._wallet, network_token=self._believed().network_token
        )

    async def spend(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        payment: Payment,
        *,
        operations: Sequence[Operation] = (),
        at: datetime,
    ) -> None:
        """Use the token for this payment, in the transaction that makes its operation.

        Raises `WalletTokenRefused` where the buyer approved less or another currency, and
        `WalletTokenReplayed` where it was used before. A token that never left, because nothing
        of this payment that was made with it was sent, may be tried once more.
        """
        approved = self._believed().approved
        if approved is not None:
            if approved.currency_number != currency(payment.currency).numeric:
                raise WalletTokenRefused("The buyer approved another currency.", path=("amount",))
            if payment.amount_minor > approved.minor:
                raise WalletTokenRefused(
                    f"The buyer approved {approved.minor} minor units and no more.",
                    path=("amount",),
                )
        row = (tenant_id, self._wallet, self._hash)
        if await session.fetchval(_SPEND, *row, payment.id, at) is not None:
            return
        used_for = await session.fetchval(_SPENT, *row)
        if used_for != payment.id or not self._never_left(operations):
            raise WalletTokenReplayed(path=("paymentMethod", "token"))

    def _never_left(self, operations: Sequence[Operation]) -> bool:
        made = [one for one in operations if _token_of(one) == self.name]
        return all(one.status == "not_sent" for one in made)

    def _believed(self) -> OpenedToken:
        if self._opened is None:
            raise self._problem or WalletTokenRefused
        return self._opened


class StartWalletSession(msgspec.Struct, frozen=True, kw_only=True):
    """Begin to show `wallet` on a page of `domain`; empty: the first one of the settings."""

    idempotency_key: str
    wallet: str
    validation_url: str
    domain: str = ""


async def start_wallet_session(
    context: TenantContext,
    request: StartWalletSession,
    *,
    database: Database,
    registry: Registry,
    clock: Clock,
    deadline_ms: int,
) -> dict[str, Any] | None:
    """What the buyer's browser needs to show the wallet; None where the key was used before.

    The provider's answer is good for minutes and is kept nowhere. What fails leaves no row, so the
    same key may be sent again. Raises what the wallet's desk raises, and `IdempotencyConflict`.
    """
    context.require("payments:write")
    check_key(request.idempotency_key)
    check_text(request.wallet, field="wallet", most=_MAX_NAME)
    check_text(request.validation_url, field="validationUrl")
    check_text(request.domain, field="domain", most=_MAX_DOMAIN)
    key, digest = request.idempotency_key, fingerprint("startWalletSession", request)
    async with database.tenant(context.tenant_id) as session:
        earlier = await idempotency.claimed(session, context.tenant_id, key=key, fingerprint=digest)
    if earlier is not None:
        return None
    started = await registry.wallets.start_session(
        context,
        request.wallet,
        validation_url=request.validation_url,
        domain=request.domain,
        deadline_ms=deadline_ms,
    )
    async with database.tenant(context.tenant_id) as session:
        earlier = await idempotency.claim(
            session,
            context.tenant_id,
            key=key,
            mutation="startWalletSession",
            fingerprint=digest,
            resource_id=request.wallet,
            at=clock.now(context.tenant_id),
        )
    return started if earlier is None else None


async def open_wallet(
    means: Means, context: TenantContext, method: MethodInput | None
) -> WalletPayment | None:
    """Open the method's token; None where it is none of a wallet's.

    A refusal is kept until it is asked for: the same idempotency key must find its payment even
    when the token has grown too old meanwhile.
    """
    if method is None or not method.is_wallet_token:
        return None
    try:
        opened = await means.registry.wallets.open_token(
            context,
            method.kind,
            method.token,
            # The device that signed it lives on the wall, as the token's age does.
            at=datetime.now(UTC),
            deadline_ms=means.deadline_ms,
        )
    except PayengineError as problem:
        return WalletPayment(method.kind, None, problem)
    return WalletPayment(method.kind, opened, None)


def gateways_for(
    enabled: Sequence[EnabledGateway], method: PaymentMethod
) -> Sequence[EnabledGateway]:
    """The gateways that may hear of this method: a network token goes to those that take one.

    Such a gateway need not know the wallet: it takes the method's kind as one of its own.
    """
    if method.network_token is None:
        return enabled
    return [
        msgspec.structs.replace(
            one,
            manifest=msgspec.structs.replace(
                one.manifest, methods=(*one.manifest.methods, method.kind)
            ),
        )
        for one in enabled
        if one.manifest.network_tokens
    ]


def _token_of(operation: Operation) -> object:
    method = operation.request.get("payment_method")
    return method.get("token") if isinstance(method, dict) else None
