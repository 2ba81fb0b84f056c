"""Does this webhook come from PayPal, for this account, and now?

PayPal signs `transmission id|time|webhook id|crc32 of the body` with RSA-SHA256
(https://developer.paypal.com/api/rest/webhooks/rest/). It is checked here against PayPal's
certificate, or PayPal is asked, as the settings say. The check fails closed: what is missing, old,
early or malformed is refused, and so is what could not be checked in time; PayPal sends it again.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from payengine.plugin import (
    Call,
    DisputeEvent,
    NotSent,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
)

from payengine_paypal.certificates import Certificates, check_address, signing_key
from payengine_paypal.client import Client, Refused
from payengine_paypal.events import events_of
from payengine_paypal.records import Unclear, read
from payengine_paypal.settings import PayPalSettings

__all__ = ["LARGEST_WEBHOOK", "WebhookReader"]

LARGEST_WEBHOOK = 256 * 1024
_OLDEST_S = 300
_EARLIEST_S = 60
_LONGEST_HEADER = 512
_ALGORITHM = "SHA256withRSA"
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z", re.ASCII)
_TRANSMISSION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERIFY = "/v1/notifications/verify-webhook-signature"
#: A webhook is read within a second; what takes longer is refused, and comes again.
_PATIENCE_S = 0.7

_HEADERS = (
    "paypal-transmission-id",
    "paypal-transmission-time",
    "paypal-transmission-sig",
    "paypal-cert-url",
    "paypal-auth-algo",
)


class _Verdict(msgspec.Struct, frozen=True):
    verification_status: str


class _Signed(msgspec.Struct, frozen=True):
    """The five headers, each present and of a sane length."""

    transmission_id: str
    time: str
    signature: str
    cert_url: str
    algorithm: str


class WebhookReader:
    """Verifies and reads; keeps the certificates that it fetched."""

    def __init__(self) -> None:
        self._certificates = Certificates()

    def parse(
        self, call: Call, request: WebhookRequest, *, ask: Callable[[], Client]
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        """The verified facts; raises `WebhookRefused` for anything doubtful.

        `ask` gives the client with which a certificate is fetched or PayPal is asked.
        """
        settings = call.settings
        if not isinstance(settings, PayPalSettings) or not settings.webhook_id:
            raise WebhookRefused("No webhook_id is set: nothing can be verified.")
        if not 0 < len(request.body) <= LARGEST_WEBHOOK:
            raise WebhookRefused("The body is empty or too large.")
        signed = _signed(request)
        _check_time(signed.time, received_at=request.received_at)
        base = settings.base(call.mode)
        check_address(signed.cert_url, base=base)
        try:
            if settings.webhook_verification == "api":
                self._ask(signed, request, settings, ask)
            else:
                self._check(signed, request, settings, call, ask)
        except (NotSent, Unclear, Refused) as problem:
            raise WebhookRefused(f"It could not be verified: {problem}"[:300]) from None
        return events_of(request.body, base=base)

    def close(self) -> None:
        """Forget the certificates."""
        self._certificates = Certificates()

    def _check(
        self,
        signed: _Signed,
        request: WebhookRequest,
        settings: PayPalSettings,
        call: Call,
        ask: Callable[[], Client],
    ) -> None:
        pem = settings.webhook_certificate.encode() or self._certificates.pem(
            signed.cert_url, lambda url: _fetch(ask(), url), account=call.account
        )
        key = signing_key(
            pem,
            settings.webhook_roots.encode(),
            base=settings.base(call.mode),
            at=request.received_at.astimezone(UTC),
        )
        words = "|".join(
            (
                signed.transmission_id,
                signed.time,
                settings.webhook_id,
                str(zlib.crc32(request.body)),
            )
        )
        try:
            signature = base64.b64decode(signed.signature, validate=True)
            key.verify(signature, words.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            raise WebhookRefused("The signature does not match.") from None

    def _ask(
        self,
        signed: _Signed,
        request: WebhookRequest,
        settings: PayPalSettings,
        ask: Callable[[], Client],
    ) -> None:
        try:
            # Decoded in full, to be sure that it is one object; embedded as it came.
            msgspec.json.decode(request.body, type=dict)
            if request.body != request.body.strip():
                raise ValueError("PayPal would not see what stands around the object")
        except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
            raise WebhookRefused("The body cannot be read.") from None
        question = msgspec.json.encode(
            {
                "auth_algo": signed.algorithm,
                "cert_url": signed.cert_url,
                "transmission_id": signed.transmission_id,
                "transmission_sig": signed.signature,
                "transmission_time": signed.time,
                "webhook_id": settings.webhook_id,
                "webhook_event": msgspec.Raw(request.body),
            }
        )
        reply = ask().plain(time.monotonic() + _PATIENCE_S, "POST", _VERIFY, body=question)
        if read(reply.body, _Verdict).verification_status != "SUCCESS":
            raise WebhookRefused("PayPal does not confirm the signature.")


def _signed(request: WebhookRequest) -> _Signed:
    values = [request.headers.get(name, "") for name in _HEADERS]
    for value in values:
        if not value or len(value) > _LONGEST_HEADER or not value.isascii():
            raise WebhookRefused("A header is missing or cannot be read.")
    signed = _Signed(*values)
    if signed.algorithm != _ALGORITHM or not _TRANSMISSION.fullmatch(signed.transmission_id):
        raise WebhookRefused("The signature is of a kind that PayPal does not make.")
    return signed


def _check_time(text: str, *, received_at: datetime) -> None:
    if not _TIME.fullmatch(text):
        raise WebhookRefused("The time cannot be read.")
    try:
        sent_at = datetime.fromisoformat(f"{text[:19]}+00:00")
        age_s = (received_at - sent_at).total_seconds()
    except (ValueError, OverflowError, TypeError):
        raise WebhookRefused("The time cannot be read.") from None
    if age_s > _OLDEST_S or age_s < -_EARLIEST_S:
        raise WebhookRefused("The time is too long ago or too far ahead.")


def _fetch(client: Client, url: str) -> bytes:
    try:
        return client.bare(time.monotonic() + _PATIENCE_S, url).body
    except (NotSent, Unclear, Refused) as problem:
        raise WebhookRefused(f"The certificate could not be fetched: {problem}"[:300]) from None
