"""Does a wallet's token pay once, and does nothing of what it held rest anywhere?

The tokens are those of a small Apple and a small Google of our own; the sandbox charges what they
hold. The wall tells how old a token is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import structlog
from payengine.errors import (
    GatewayUnavailable,
    IdempotencyConflict,
    PayengineError,
    PaymentMethodInvalid,
    PluginNotEnabled,
    WalletTokenRefused,
    WalletTokenReplayed,
)
from payengine.payments import MethodInput, PaymentResult
from payengine.payments.wallets import WalletPayment, gateways_for
from payengine.plugin import NetworkToken, OpenedToken, PaymentMethod
from payengine_apple_pay.testing import PAYLOAD, AppleOfTest
from payengine_google_pay.testing import GoogleOfTest, message_of

from tests.acceptance.worlds import read_tables
from tests.engines import Shop, Till, key

#: What must be found nowhere: the number, the cryptogram, and the cryptogram as bytes.
SECRETS = ("4802370000000009", "AP2nXmSiDrVGAAFZOMHBAoABFA")


@dataclass(frozen=True)
class Purse:
    """A shop with both wallets set up, and the buyers' devices."""

    shop: Shop
    apple: AppleOfTest
    google: GoogleOfTest

    def apple_token(self, **payload: Any) -> MethodInput:
        """What a device sends for this content."""
        token = self.apple.token(PAYLOAD | payload, at=datetime.now(UTC))
        return MethodInput(kind="apple_pay", token=json.dumps(token))

    def google_token(self, version: str = "ECv2") -> MethodInput:
        """What a browser sends."""
        message = message_of(datetime.now(UTC), message_id=f"AH2E{key()}")
        token = self.google.token(message, version=version)
        return MethodInput(kind="google_pay", token=json.dumps(token))

    async def pay(self, method: MethodInput, amount: int = 1_000, **given: Any) -> PaymentResult:
        """Pay with it."""
        return await self.shop.pay(amount, payment_method=method, **given)


async def set_up(shop: Shop) -> Purse:
    """Enable both wallets for the shop."""
    now = datetime.now(UTC)
    apple, google = AppleOfTest(now), GoogleOfTest(now)
    for name, settings in (("apple_pay", apple.settings), ("google_pay", google.settings)):
        await shop.engine.registry.save_settings(
            shop.context, name, enabled=True, settings=settings
        )
    return Purse(shop, apple, google)


@pytest.fixture
async def purse(shop: Shop) -> Purse:
    """A shop that takes both wallets."""
    return await set_up(shop)


async def everything(shop: Shop) -> str:
    """Every row of every table that belongs to the tenant, as text."""
    found: list[str] = []
    async with shop.till.as_owner(shop.context.tenant_id) as connection:
        for table in await read_tables(connection):
            rows = await connection.fetch(f"SELECT t::text FROM {table.name} t")
            found += [row[0] for row in rows]
    return "\n".join(found)


async def spent(shop: Shop) -> int:
    async with shop.engine.database.tenant(shop.context.tenant_id) as session:
        count: int = await session.fetchval(
            "SELECT count(*) FROM wallet_token WHERE tenant_id = $1", shop.context.tenant_id
        )
    return count


@asynccontextmanager
async def nothing_written(shop: Shop) -> AsyncIterator[None]:
    """Inside, no row appears in any table of the tenant."""
    before = await shop.rows(), await spent(shop)
    yield
    assert (await shop.rows(), await spent(shop)) == before


# -- the way of a token ----------------------------------------------------------------------------


async def test_each_wallets_token_is_charged(purse: Purse) -> None:
    apple = purse.apple_token(applicationPrimaryAccountNumber="4242424242424242")
    for method in (apple, purse.google_token("ECv1"), purse.google_token("ECv2")):
        paid = await purse.pay(method)
        assert (paid.payment.status, paid.payment.method_kind) == ("CAPTURED", method.kind)
        await purse.shop.check(paid.payment.id)
    again = purse.apple_token(applicationPrimaryAccountNumber="4242424242424242")
    held = await purse.pay(again, capture_method="MANUAL")
    assert held.payment.status == "AUTHORIZED"
    captured = await purse.shop.capture(held.payment.id, 400)
    refunded = await purse.shop.refund(held.payment.id)
    assert (captured.payment.captured_minor, refunded.payment.refunded_minor) == (400, 400)
    await purse.shop.assert_sound()


async def test_nothing_of_it_rests_or_is_told(purse: Purse) -> None:
    # One gateway says yes, one says no, one asks the buyer, and one never answers.
    with structlog.testing.capture_logs() as logs:
        results = [
            await purse.pay(purse.apple_token()),
            await purse.pay(purse.google_token()),
            await purse.pay(purse.apple_token(applicationPrimaryAccountNumber="4000000000000002")),
            await purse.pay(purse.apple_token(applicationPrimaryAccountNumber="4000000000003220")),
        ]
    statuses = [one.payment.status for one in results]
    assert statuses == ["CAPTURED", "CAPTURED", "DECLINED", "REQUIRES_ACTION"]
    rest = await everything(purse.shop)
    assert "wallet_" in rest
    assert purse.apple.merchant_id in rest
    seen = f"{rest} {logs} {results!r}"
    for secret in (*SECRETS, "4000000000000002", "4000000000003220"):
        assert secret not in seen
        assert secret.encode().hex() not in seen
    for result in results:
        (operation,) = await purse.shop.operations(result.payment.id)
        assert operation.resendable is False
        stored = operation.request["payment_method"]
        assert stored["token"].startswith("wallet_")
        assert stored["network_token"] is None
        assert stored["kind"] in ("apple_pay", "google_pay")


async def test_gateways_own_books_have_a_test_token_instead(purse: Purse) -> None:
    paid = await purse.pay(purse.apple_token())
    home = purse.shop.till.home.home
    books = b"".join(file.read_bytes() for file in home.glob("sandbox.sqlite3*"))
    assert paid.operation is not None
    assert paid.operation.provider_key.encode() in books
    assert SECRETS[0].encode() not in books


# -- once ------------------------------------------------------------------------------------------


async def test_token_pays_once_whatever_is_asked_with_it(purse: Purse) -> None:
    for method in (purse.apple_token(), purse.google_token()):
        await purse.pay(method, 500)
        async with nothing_written(purse.shop):
            for given in ({}, {"capture_method": "MANUAL"}, {"amount": 400}):
                with pytest.raises(WalletTokenReplayed):
                    await purse.pay(method, **given)
        spelled = json.dumps(json.loads(method.token), indent=1).replace("\n", " ")
        again = msgspec.structs.replace(method, token=spelled)
        with pytest.raises(WalletTokenReplayed):
            await purse.pay(again)


async def test_same_key_is_no_replay(purse: Purse) -> None:
    method, mine = purse.apple_token(), key()
    first = await purse.pay(method, idempotency_key=mine)
    again = await purse.pay(method, idempotency_key=mine)
    assert again.payment.id == first.payment.id
    with pytest.raises(IdempotencyConflict):
        await purse.pay(purse.apple_token(), idempotency_key=mine)
    assert await spent(purse.shop) == 1


async def test_same_key_finds_its_payment_when_the_token_opens_no_more(purse: Purse) -> None:
    method, mine = purse.apple_token(), key()
    first = await purse.pay(method, idempotency_key=mine)
    await purse.shop.engine.registry.save_settings(purse.shop.context, "apple_pay", enabled=False)
    again = await purse.pay(method, idempotency_key=mine)
    assert again.payment.id == first.payment.id
    with pytest.raises(PluginNotEnabled):
        await purse.pay(method)


@pytest.mark.parametrize("same_key", [True, False])
async def test_many_at_once_make_one_charge(purse: Purse, same_key: bool) -> None:
    method, mine = purse.google_token(), key()

    async def one() -> PaymentResult | PayengineError:
        try:
            return await purse.pay(method, idempotency_key=mine if same_key else key())
        except PayengineError as refused:
            return refused

    answers = await asyncio.gather(*(one() for _ in range(20)))
    paid = [each for each in answers if isinstance(each, PaymentResult)]
    assert len({each.payment.id for each in paid}) == 1
    if not same_key:
        assert len(paid) == 1
        assert {type(each) for each in answers} == {PaymentResult, WalletTokenReplayed}
    assert len(await purse.shop.movements()) == 1
    await purse.shop.assert_sound()


async def test_each_tenant_has_its_own_once(purse: Purse, other_shop: Shop) -> None:
    registry = other_shop.engine.registry
    await registry.save_settings(
        other_shop.context, "apple_pay", enabled=True, settings=purse.apple.settings
    )
    method = purse.apple_token()
    await purse.pay(method)
    assert (await other_shop.pay(1_000, payment_method=method)).payment.status == "CAPTURED"
    with pytest.raises(WalletTokenReplayed):
        await other_shop.pay(1_000, payment_method=method)


async def test_declined_token_is_used_up_and_another_may_follow(purse: Purse) -> None:
    refused = purse.apple_token(applicationPrimaryAccountNumber="4000000000009995")
    declined = await purse.pay(refused)
    assert declined.payment.decline_code == "insufficient_funds"
    with pytest.raises(WalletTokenReplayed):
        await purse.shop.confirm(declined.payment.id, payment_method=refused)
    paid = await purse.shop.confirm(declined.payment.id, payment_method=purse.google_token())
    assert (paid.payment.status, paid.payment.method_kind) == ("CAPTURED", "google_pay")
    await purse.shop.check(declined.payment.id)


async def test_token_that_never_left_may_be_tried_again(purse: Purse) -> None:
    # The sandbox's magic amount 3011 answers that nothing was processed.
    method = purse.apple_token(
        applicationPrimaryAccountNumber="4000000000000077", transactionAmount=3_011
    )
    unsent = await purse.pay(method, 3_011)
    assert isinstance(unsent.error, GatewayUnavailable)
    again = await purse.shop.confirm(unsent.payment.id, payment_method=method)
    assert again.payment.status == unsent.payment.status == "CREATED"
    with pytest.raises(WalletTokenReplayed):
        await purse.pay(method, 3_011)
    declined = await purse.shop.confirm(unsent.payment.id, "tok_decline_lost_card")
    assert declined.payment.status == "DECLINED"
    assert (await purse.shop.confirm(unsent.payment.id, payment_method=method)).operation


# -- what is refused -------------------------------------------------------------------------------


async def test_token_that_is_not_genuine_writes_nothing(purse: Purse) -> None:
    stranger = await set_up(purse.shop)  # another Apple, another Google; the settings are theirs
    async with nothing_written(purse.shop):
        for method in (purse.apple_token(), purse.google_token()):
            with pytest.raises(WalletTokenRefused):
                await purse.pay(method)
        old = stranger.apple.token(at=datetime.now(UTC) - timedelta(hours=1))
        with pytest.raises(WalletTokenRefused, match="too old"):
            await purse.pay(MethodInput(kind="apple_pay", token=json.dumps(old)))
        for text in ("{", "{}", '{"version":"EC_v1"}', "{" * 9_000):
            for kind in ("apple_pay", "google_pay"):
                with pytest.raises(WalletTokenRefused):
                    await purse.pay(MethodInput(kind=kind, token=text))
    assert (await purse.pay(stranger.apple_token())).payment.status == "CAPTURED"


async def test_more_than_the_buyer_approved_is_refused(purse: Purse) -> None:
    method = purse.apple_token()
    async with nothing_written(purse.shop):
        with pytest.raises(WalletTokenRefused, match="approved 1000 minor units"):
            await purse.pay(method, 1_001)
        with pytest.raises(WalletTokenRefused, match="another currency"):
            await purse.pay(method, 1_000, currency="USD")
    assert (await purse.pay(method, 999)).payment.status == "CAPTURED"


async def test_wallet_that_is_not_set_up_is_told_apart(shop: Shop) -> None:
    purse = Purse(shop, AppleOfTest(datetime.now(UTC)), GoogleOfTest(datetime.now(UTC)))
    async with nothing_written(shop):
        with pytest.raises(PluginNotEnabled):
            await purse.pay(purse.apple_token())
        with pytest.raises(PaymentMethodInvalid, match="No wallet named 'card'"):
            await purse.pay(msgspec.structs.replace(purse.apple_token(), kind="card"))
        with pytest.raises(GatewayUnavailable):
            await purse.pay(MethodInput(kind="apple_pay", token="tok_visa"))


async def test_wallets_token_is_not_kept(purse: Purse) -> None:
    from payengine.customers import CreateCustomer, SavePaymentMethod

    customers, context = purse.shop.engine.customers, purse.shop.context
    customer = await customers.create(context, CreateCustomer(idempotency_key=key()))
    method = purse.apple_token()
    with pytest.raises(PaymentMethodInvalid, match="cannot be kept"):
        await customers.save_method(
            context,
            SavePaymentMethod(
                idempotency_key=key(),
                customer_id=customer.id,
                token=method.token[:200],
                kind=method.kind,
            ),
        )


# -- what is not known -----------------------------------------------------------------------------


@pytest.mark.parametrize(("amount", "ends"), [(3_002, "CAPTURED"), (3_001, "CREATED")])
async def test_unknown_outcome_is_looked_up_and_never_sent_again(
    purse: Purse, amount: int, ends: str
) -> None:
    # 3002 charges and then fails; 3001 fails before it charges. Neither may be sent twice.
    method = purse.apple_token(
        applicationPrimaryAccountNumber="4000000000000077", transactionAmount=amount
    )
    open_payment = await purse.pay(method, amount)
    assert open_payment.payment.status == "PROCESSING"
    for minutes in (1, 2, 3):
        await purse.shop.look(after=timedelta(minutes=minutes))
    ended = await purse.shop.payment(open_payment.payment.id)
    (operation,) = await purse.shop.operations(ended.id)
    assert (ended.status, operation.resendable) == (ends, False)
    assert len(await purse.shop.movements()) == (1 if ends == "CAPTURED" else 0)
    evidence = await purse.shop.evidence(operation.id)
    assert {each.source for each in evidence} == {"lookup"}
    await purse.shop.assert_sound()


# -- pieces ----------------------------------------------------------------------------------------


async def test_network_token_goes_to_gateways_that_take_one(till: Till, shop: Shop) -> None:
    enabled = await till.engine.registry.for_tenant(shop.context)
    deaf = [
        msgspec.structs.replace(
            each, manifest=msgspec.structs.replace(each.manifest, network_tokens=False)
        )
        for each in enabled
    ]
    token = NetworkToken(
        number=SECRETS[0], expiry_month=1, expiry_year=2031, cryptogram="AAAA", wallet="apple_pay"
    )
    method = PaymentMethod(token="wallet_1", kind="apple_pay", network_token=token)
    assert [each.name for each in gateways_for(enabled, method)] == ["sandbox"]
    assert "apple_pay" in gateways_for(enabled, method)[0].manifest.methods
    assert list(gateways_for(deaf, method)) == []
    card = PaymentMethod(token="tok_visa")
    assert list(gateways_for(deaf, card)) == deaf


def test_opened_payment_shows_nothing() -> None:
    token = NetworkToken(
        number=SECRETS[0], expiry_month=1, expiry_year=2031, cryptogram="AAAA", wallet="apple_pay"
    )
    opened = WalletPayment("apple_pay", OpenedToken(network_token=token, token_id="t"), None)
    assert SECRETS[0] not in repr((opened, opened.method(), opened.name))
    with pytest.raises(TypeError):
        msgspec.json.encode(opened)
    with pytest.raises(TypeError):
        json.dumps(opened)
    refused = WalletPayment("apple_pay", None, WalletTokenRefused())
    with pytest.raises(WalletTokenRefused):
        refused.method()
