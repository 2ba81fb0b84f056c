"""Is nothing believed that PayPal did not sign, for this account, just now?"""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from fake_paypal import FakePayPal
from fake_paypal_signing import Authority, Leaf
from payengine.plugin import (
    Call,
    DisputeEvent,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
)
from payengine_paypal.certificates import Certificates, check_address, signing_key
from payengine_paypal.settings import PayPalSettings
from paypal_account import Account

pytest_plugins = ("paypal_account",)

#: More with `PAYENGINE_HOSTILE_WEBHOOKS=10000`.
HOSTILE = int(os.environ.get("PAYENGINE_HOSTILE_WEBHOOKS", "1000"))
LIVE = "https://api-m.paypal.com"
CERT = f"{LIVE}/v1/notifications/certs/CERT-1"


def request_of(event: dict[str, Any], *, at: datetime | None = None) -> WebhookRequest:
    """A delivery as the engine hands it on."""
    return WebhookRequest(
        headers=event["headers"],
        body=event["body"].encode(),
        received_at=at or datetime.now(UTC),
    )


def read(account: Account, event: dict[str, Any]) -> list[WebhookEvent | DisputeEvent]:
    """What the plugin makes of a delivery."""
    return list(account.gateway.parse_webhook(account.call, request_of(event)))


async def told(account: Account, kind: str) -> WebhookEvent:
    """The event of this kind, read."""
    (event,) = (each for each in account.paypal.events(account.name) if each["kind"] == kind)
    (found,) = read(account, event)
    assert isinstance(found, WebhookEvent)
    return found


# -- what is told ----------------------------------------------------------------------------------


async def test_capture_of_an_order_tells_of_its_authorization(account: Account) -> None:
    request = account.request()
    paid = await account.gateway.authorize(account.call, request)
    event = await told(account, "PAYMENT.CAPTURE.COMPLETED")
    assert (event.kind, event.key) == ("authorize", request.key)
    assert event.provider_reference == paid.provider_reference
    assert event.outcome == paid


async def test_hold_its_capture_and_its_end_are_told(account: Account) -> None:
    request = account.request(capture=False)
    held = await account.gateway.authorize(account.call, request)
    event = await told(account, "PAYMENT.AUTHORIZATION.CREATED")
    assert (event.kind, event.key, event.outcome) == ("authorize", request.key, held)
    reference = str(held.provider_reference)
    taken = await account.capture(reference, 500, final=False, key="cap-x")
    event = await told(account, "PAYMENT.CAPTURE.COMPLETED")
    assert (event.kind, event.key, event.outcome) == ("capture", "cap-x", taken)
    await account.void(reference)
    event = await told(account, "PAYMENT.AUTHORIZATION.VOIDED")
    assert (event.kind, event.key) == ("void", None)
    assert event.provider_reference == reference


async def test_approval_tells_that_the_order_still_waits_for_us(account: Account) -> None:
    request = account.request("paypal")
    asked = await account.gateway.authorize(account.call, request)
    account.paypal.approve(account.name, str(asked.provider_reference))
    event = await told(account, "CHECKOUT.ORDER.APPROVED")
    assert (event.kind, event.key) == ("authorize", request.key)
    assert event.outcome.status == "requires_action"
    assert event.incomplete


async def test_approval_of_a_canceled_order_tells_nothing(account: Account) -> None:
    asked = await account.pay("paypal")
    await account.void(str(asked.provider_reference))
    account.paypal.approve(account.name, str(asked.provider_reference))
    (event,) = account.paypal.events(account.name)
    assert read(account, event) == []


async def test_refund_is_told_and_a_part_of_one_is_not(account: Account) -> None:
    paid = await account.pay()
    given = await account.refund(str(paid.provider_reference), 300, key="ref-y")
    event = await told(account, "PAYMENT.CAPTURE.REFUNDED")
    assert (event.kind, event.key, event.outcome) == ("refund", "ref-y", given)
    reference = await account.hold()
    await account.capture(reference, 500, final=False)
    await account.capture(reference, 500)
    await account.refund(reference, 800)
    parts = [
        read(account, each)
        for each in account.paypal.events(account.name)
        if each["kind"] == "PAYMENT.CAPTURE.REFUNDED"
    ]
    assert [len(part) for part in parts] == [1, 0, 0]


async def test_declined_and_pending_captures_are_told(account: Account) -> None:
    account.paypal.ask("set", pending_s=60)
    await account.pay("vault_card_9500")
    await account.pay("vault_pending")
    declined = await told(account, "PAYMENT.CAPTURE.DECLINED")
    assert declined.outcome.decline is not None
    assert declined.outcome.decline.code == "fraudulent"
    assert (await told(account, "PAYMENT.CAPTURE.PENDING")).outcome.status == "pending"


@pytest.mark.parametrize(
    ("status", "outcome", "wanted"),
    [("UNDER_REVIEW", "", "under_review"), ("RESOLVED", "RESOLVED_SELLER_FAVOUR", "won"),
     ("RESOLVED", "RESOLVED_BUYER_FAVOUR", "lost"), ("RESOLVED", "CANCELED_BY_BUYER", "won"),
     ("MEDITATING", "", "unmodelled"), ("RESOLVED", "BY_A_COIN", "unmodelled")],
)  # fmt: skip
async def test_dispute_is_told_as_it_moves(
    account: Account, status: str, outcome: str, wanted: str
) -> None:
    request = account.request()
    paid = await account.gateway.authorize(account.call, request)
    order = account.paypal.ask("order", client_id=account.name, id=paid.provider_reference)
    (capture,) = order["purchase_units"][0]["payments"]["captures"]
    opened = account.paypal.ask("dispute", client_id=account.name, id=capture["id"])
    account.paypal.ask(
        "resolve",
        client_id=account.name,
        id=opened["dispute_id"],
        status=status,
        outcome=outcome,
    )
    reports = [
        event
        for each in account.paypal.events(account.name)
        for event in read(account, each)
        if isinstance(event, DisputeEvent)
    ]
    assert [event.dispute.status for event in reports] == ["needs_response", wanted]
    assert {event.key for event in reports} == {request.key}
    assert {event.provider_reference for event in reports} == {capture["id"]}
    assert reports[0].dispute.amount == request.amount
    assert reports[0].dispute.evidence_due_at is not None


async def test_events_of_no_interest_tell_nothing(account: Account) -> None:
    await account.pay()
    (event,) = account.paypal.events(account.name)
    body = json.loads(event["body"]) | {"event_type": "BILLING.PLAN.CREATED"}
    assert read(account, _signed_anew(account, body)) == []


# -- what is refused -------------------------------------------------------------------------------


def _signed_anew(
    account: Account, body: Any, *, leaf: Leaf | None = None, authority: Authority | None = None
) -> dict[str, Any]:
    """A delivery signed by a leaf of ours, whose root the account then trusts."""
    authority = authority or Authority()
    leaf = leaf or authority.leaf()
    text = body if isinstance(body, str) else json.dumps(body)
    account.call = msgspec.structs.replace(
        account.call,
        settings=msgspec.structs.replace(
            account.call.settings,
            webhook_certificate=leaf.chain.decode(),
            webhook_roots=authority.root_pem.decode(),
        ),
    )
    headers = leaf.headers(
        text.encode(),
        webhook_id=account.call.settings.webhook_id,
        cert_url=f"{account.paypal.url}/v1/notifications/certs/CERT-9",
        at=datetime.now(UTC),
        transmission_id="b3b0cb1a",
    )
    return {"headers": headers, "body": text}


async def test_signed_holds_whose_times_cannot_be_compared_are_refused(account: Account) -> None:
    def hold(name: str, made: str) -> dict[str, Any]:
        amount = {"currency_code": "EUR", "value": "1.00"}
        return {"id": name, "status": "CREATED", "amount": amount, "create_time": made}

    holds = [hold("A1", "2026-01-01T00:00:00"), hold("A2", "2026-01-01T00:00:00Z")]
    order = {
        "id": "O1",
        "status": "COMPLETED",
        "purchase_units": [{"custom_id": "k", "payments": {"authorizations": holds}}],
    }
    body = {
        "id": "WH-1",
        "create_time": "2026-01-01T00:00:00Z",
        "event_type": "CHECKOUT.ORDER.COMPLETED",
        "resource": order,
    }
    with pytest.raises(WebhookRefused):
        read(account, _signed_anew(account, body))


async def test_signed_body_that_cannot_be_read_is_refused(account: Account) -> None:
    texts = ["{}", "[]", "null", '{"id":"WH-1"}', '{"id":"","create_time":1}', "1e999", "{" * 4_000]
    whole = {
        "id": "WH-1",
        "create_time": "2026-01-01T00:00:00Z",
        "event_type": "PAYMENT.CAPTURE.COMPLETED",
    }
    resources: list[Any] = [{}, [], None, 7, "x"]
    texts += [json.dumps(whole | {"resource": resource}) for resource in resources]
    amounts: list[Any] = [None, {"currency_code": "EUR", "value": "-1"}, {"value": "1"}, "1.00"]
    texts += [
        json.dumps(whole | {"resource": {"id": "X", "status": "COMPLETED", "amount": amount}})
        for amount in amounts
    ]
    for text in texts:
        with pytest.raises(WebhookRefused):
            read(account, _signed_anew(account, text))


@pytest.mark.parametrize(
    ("leaf", "trusted"),
    [("good", True), ("expired", False), ("early", False), ("other name", False),
     ("no chain", False), ("other root", False)],
)  # fmt: skip
async def test_only_a_valid_chain_is_believed(account: Account, leaf: str, trusted: bool) -> None:
    authority, now = Authority(), datetime.now(UTC)
    leaves: dict[str, Callable[[], Leaf]] = {
        "good": authority.leaf,
        "expired": lambda: authority.leaf(ends=now - timedelta(hours=1)),
        "early": lambda: authority.leaf(begins=now + timedelta(hours=1)),
        "other name": lambda: authority.leaf("messageverificationcerts.evil.example"),
        "no chain": lambda: authority.leaf(with_chain=False),
        "other root": lambda: Authority().leaf(),
    }
    body = {"id": "WH-1", "create_time": "2026-01-01T00:00:00Z", "event_type": "X", "resource": {}}
    event = _signed_anew(account, body, leaf=leaves[leaf](), authority=authority)
    if trusted:
        assert read(account, event) == []
    else:
        with pytest.raises(WebhookRefused):
            read(account, event)


def test_sandbox_signer_is_not_believed_behind_the_real_api() -> None:
    authority, now = Authority(), datetime.now(UTC)
    chain, roots = authority.leaf().chain, authority.root_pem
    signing_key(chain, roots, base="https://api-m.sandbox.paypal.com", at=now)
    with pytest.raises(WebhookRefused):
        signing_key(chain, roots, base=LIVE, at=now)
    real = authority.leaf("messageverificationcerts.paypal.com")
    signing_key(real.chain, roots, base=LIVE, at=now)


def test_certificate_of_our_own_is_not_believed_by_the_worlds_roots() -> None:
    with pytest.raises(WebhookRefused, match="trusted root"):
        signing_key(Authority().leaf().chain, b"", base=LIVE, at=datetime.now(UTC))


@pytest.mark.parametrize(
    "url",
    ["http://api-m.paypal.com/v1/notifications/certs/CERT-1", "https://evil.example/v1/notifications/certs/CERT-1",
     "https://api-m.paypal.com.evil.example/v1/notifications/certs/CERT-1",
     "https://api-m.paypal.com@evil.example/v1/notifications/certs/CERT-1",
     "https://api-m.paypal.com/v1/notifications/certs/../../oauth2/token",
     "https://api-m.paypal.com/v1/notifications/certs/CERT-1?x=1",
     "https://api-m.paypal.com:8443/v1/notifications/certs/CERT-1", "file:///etc/passwd",
     "https://169.254.169.254/v1/notifications/certs/CERT-1", "https://[", "", "x" * 501,
     "https://api-m.paypal.com/v1/notifications/certs/CERT-1#x", "https://api-m.paypal.com/"],
)  # fmt: skip
def test_certificates_are_fetched_from_paypal_alone(url: str) -> None:
    with pytest.raises(WebhookRefused):
        check_address(url, base=LIVE)
    assert check_address(CERT, base=LIVE) == CERT


def test_forgers_do_not_make_a_flood_of_fetches() -> None:
    certificates, asked = Certificates(), 0

    def fetch(url: str) -> bytes:
        nonlocal asked
        asked += 1
        raise WebhookRefused("nothing there")

    for number in range(200):
        with pytest.raises(WebhookRefused):
            certificates.pem(f"{CERT}{number}", fetch, account="a")
    assert asked == 20
    assert certificates.pem(CERT, lambda url: b"chain", account="b") == b"chain"
    assert certificates.pem(CERT, fetch, account="a") == b"chain"


async def test_without_a_webhook_id_everything_is_refused(account: Account) -> None:
    await account.pay()
    (event,) = account.paypal.events(account.name)
    settings = msgspec.structs.replace(account.call.settings, webhook_id="")
    account.call = msgspec.structs.replace(account.call, settings=settings)
    with pytest.raises(WebhookRefused, match="webhook_id"):
        read(account, event)


async def test_webhook_of_another_account_is_refused(account: Account) -> None:
    await account.pay()
    (event,) = account.paypal.events(account.name)
    settings = msgspec.structs.replace(account.call.settings, webhook_id="1JE4291016473214C")
    account.call = msgspec.structs.replace(account.call, settings=settings)
    for how in ("certificate", "api"):
        chosen = msgspec.structs.replace(settings, webhook_verification=how)
        account.call = msgspec.structs.replace(account.call, settings=chosen)
        with pytest.raises(WebhookRefused):
            read(account, event)


@pytest.mark.parametrize("how", ["certificate", "api"])
async def test_silent_paypal_refuses_within_a_second(account: Account, how: str) -> None:
    await account.pay()
    (event,) = account.paypal.events(account.name)
    account.paypal.ask("set", faults={"rates": {"hang_before": 1_000}, "hang_s": 2, "reads": True})
    settings = msgspec.structs.replace(
        account.call.settings,
        webhook_verification=how,
        # A certificate's address that nobody serves, where the certificate is asked for.
        api_base=account.paypal.url,
    )
    account.call = msgspec.structs.replace(account.call, settings=settings)
    if how == "certificate":
        event["headers"]["paypal-cert-url"] += "-other"
    with pytest.raises(WebhookRefused):
        read(account, event)


@pytest.mark.parametrize("ahead_s", [-301, 61, -86_400, 86_400 * 365])
async def test_old_and_early_webhooks_are_refused(account: Account, ahead_s: int) -> None:
    await account.pay()
    at = datetime.now(UTC) + timedelta(seconds=ahead_s)
    (event,) = account.paypal.events(account.name, at=at.isoformat())
    with pytest.raises(WebhookRefused, match="ago or too far"):
        read(account, event)


# -- ten thousand hostile ones ---------------------------------------------------------------------


def hostile(genuine: WebhookRequest, chance: random.Random) -> WebhookRequest:
    """A delivery that somebody has tampered with or made up."""
    headers, body = dict(genuine.headers), bytearray(genuine.body)
    for _ in range(chance.randint(1, 3)):
        kind = chance.randrange(8)
        name = chance.choice(sorted(headers)) if headers else "x"
        if kind == 0 and body:
            body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        elif kind == 1:
            body = bytearray(chance.randbytes(chance.randrange(200)))
        elif kind == 2:
            headers.pop(name, None)
        elif kind == 3:
            headers[name] = "".join(chance.choices(string.printable + "é€\x00", k=40))
        elif kind == 4:
            headers["paypal-cert-url"] = chance.choice(_ADDRESSES)
        elif kind == 5:
            headers["paypal-transmission-time"] = chance.choice(_TIMES)
        elif kind == 6:
            body = bytearray(chance.choice(_BODIES))
        else:
            headers[name] = headers.get(name, "") * chance.choice([0, 2, 50])
    return WebhookRequest(headers=headers, body=bytes(body), received_at=genuine.received_at)


_ADDRESSES = (
    "https://evil.example/v1/notifications/certs/CERT-1",
    "http://169.254.169.254/latest/meta-data",
    "file:///etc/passwd",
    "https://api-m.paypal.com@evil.example/v1/notifications/certs/CERT-1",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "",
)
_TIMES = ("", "now", "2026-13-45T99:99:99Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59Z", "1e9")
_BODIES = (b"", b"{}", b"[" * 5_000, b'{"a":' * 2_000, b"\xff\xfe", b"1e999", b'"\\ud800"', b"NaN")


@pytest.mark.parametrize("how", ["certificate", "api"])
async def test_hostile_webhooks_are_refused_and_raise_nothing_else(
    account: Account, how: str
) -> None:
    await account.pay()
    (event,) = account.paypal.events(account.name)
    settings = msgspec.structs.replace(
        account.call.settings,
        webhook_verification=how,
        webhook_certificate=account.paypal.ask("set")["chain"],
    )
    call = Call(account=account.name, settings=settings, deadline_ms=1_000)
    genuine = request_of(event)
    assert len(account.gateway.parse_webhook(call, genuine)) == 1
    chance = random.Random(20_261_123)
    believed = 0
    for _ in range(HOSTILE if how == "certificate" else HOSTILE // 10):
        try:
            account.gateway.parse_webhook(call, made := hostile(genuine, chance))
        except WebhookRefused:
            continue
        signed = {name for name in made.headers if name.startswith("paypal-")}
        believed += any(made.headers.get(name) != genuine.headers.get(name) for name in signed)
        believed += made.body != genuine.body
    assert believed == 0


async def test_settings_of_another_plugin_refuse(account: Account, paypal: FakePayPal) -> None:
    call = Call(account="x", settings=None, deadline_ms=1_000)
    request = WebhookRequest(headers={}, body=b"{}", received_at=datetime.now(UTC))
    with pytest.raises(WebhookRefused):
        account.gateway.parse_webhook(call, request)
    assert isinstance(paypal.settings("x"), PayPalSettings)
