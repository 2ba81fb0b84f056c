"""How does the sandbox tell of what happened, and how is that proved?

Signed as Standard Webhooks describes it: HMAC-SHA256 over `id.timestamp.body`, in base64, behind
`v1,`. Verification fails closed: whatever is missing, old, early, malformed or addressed to
another account is refused.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from payengine.plugin import DisputeEvent, WebhookEvent, WebhookRefused, WebhookRequest

from payengine_sandbox.dispute_records import (
    Dispute,
    DisputeNotice,
    ShownDispute,
    dispute_event_of,
)
from payengine_sandbox.records import Operation
from payengine_sandbox.store import Store
from payengine_sandbox.wire import Shown, outcome_of, show

__all__ = ["Courier", "Notice", "parse", "sign"]

_OLDEST_S = 300
_EARLIEST_S = 60
_LARGEST_BODY = 64 * 1024
_LONGEST_SIGNATURES = 1024
_PREFIX = "whsec_"

_PAUSES_S = (0.0, 0.2, 1.0, 5.0)
_TIMEOUT_S = 5.0
_MAX_WAITING = 10_000
_CARRIERS = 8


class Notice(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag="operation.updated",
):
    """The body of a webhook about an operation."""

    id: str
    account: str
    created_at: datetime
    operation: Shown


_decoder: msgspec.json.Decoder[Notice | DisputeNotice] = msgspec.json.Decoder(
    Notice | DisputeNotice
)


def sign(*, secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header `webhook-signature`; `timestamp` is in seconds since 1970."""
    message = b".".join((event_id.encode(), str(timestamp).encode(), body))
    digest = hmac.new(_key(secret), message, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def parse(
    request: WebhookRequest, *, secret: str, account: str
) -> Sequence[WebhookEvent | DisputeEvent]:
    """The verified facts of a webhook; raises `WebhookRefused` for anything doubtful."""
    headers, body = request.headers, request.body
    event_id = headers.get("webhook-id", "")
    given = headers.get("webhook-signature", "")
    if not secret or not event_id or len(body) > _LARGEST_BODY or len(given) > _LONGEST_SIGNATURES:
        raise WebhookRefused("A header is missing or the body is too large.")
    timestamp = _timestamp(headers.get("webhook-timestamp", ""))
    age_s = request.received_at.timestamp() - timestamp
    if age_s > _OLDEST_S or age_s < -_EARLIEST_S:
        raise WebhookRefused("The timestamp is too old or too early.")
    try:
        right = sign(secret=secret, event_id=event_id, timestamp=timestamp, body=body).encode()
        signatures = [one.encode("ascii") for one in given.split(" ")]
    except (UnicodeError, ValueError):
        raise WebhookRefused("The signature cannot be read.") from None
    # Each is compared, so that the time taken does not tell which one was close.
    if not sum(hmac.compare_digest(right, one) for one in signatures):
        raise WebhookRefused("The signature does not match.")
    try:
        notice = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise WebhookRefused("The body cannot be read.") from None
    if notice.id != event_id or notice.account != account or notice.created_at.tzinfo is None:
        raise WebhookRefused("The notice is not meant for this account.")
    if isinstance(notice, DisputeNotice):
        return [dispute_event_of(notice)]
    shown = notice.operation
    event = WebhookEvent(
        event_id=event_id,
        kind=shown.kind,
        key=shown.key,
        provider_reference=shown.reference,
        outcome=outcome_of(shown),
        occurred_at=notice.created_at,
    )
    return [event]


def _timestamp(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise WebhookRefused("The timestamp cannot be read.")
    return int(text)


def _key(secret: str) -> bytes:
    """The bytes of a secret: base64 behind `whsec_`, else the text itself."""
    if secret.startswith(_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            return secret.encode()
    return secret.encode()


class Courier:
    """Delivers notices, best effort: a few tries each, eight at a time, 10,000 waiting."""

    def __init__(
        self, store: Store, *, base_url: str, may_tell: Callable[[str], bool] | None = None
    ) -> None:
        """`base_url` is where the challenge pages are served; `may_tell` says of an address
        whether anything may be sent there, without it everything may."""
        self._store = store
        self._base_url = base_url
        self._may_tell = may_tell
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_CARRIERS)

    def send(self, operation: Operation) -> None:
        """Begin to deliver; needs a running loop, and does nothing for an account without URL."""
        self._begin(
            Notice(
                id=f"evt_{operation.reference[4:]}_{operation.status}",
                account=operation.account,
                created_at=datetime.now(UTC),
                operation=show(operation, base_url=self._base_url),
            )
        )

    def tell_dispute(self, dispute: Dispute, shown: ShownDispute) -> None:
        """Begin to deliver a dispute's change; as `send` does."""
        self._begin(
            DisputeNotice(
                id=f"evt_{dispute.reference}_{dispute.changes}",
                account=dispute.account,
                created_at=datetime.now(UTC),
                dispute=shown,
            )
        )

    def _begin(self, notice: Notice | DisputeNotice) -> None:
        endpoint = self._store.endpoint(notice.account)
        if endpoint is None or not endpoint[0] or len(self._tasks) >= _MAX_WAITING:
            return
        url, secret = endpoint
        if self._may_tell is not None and not self._may_tell(url):
            return
        task = asyncio.get_running_loop().create_task(
            self._deliver(url, secret, notice.id, msgspec.json.encode(notice))
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """Give up what is not delivered."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, url: str, secret: str, event_id: str, body: bytes) -> None:
        import httpx

        async with (
            self._slots,
            httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client,
        ):
            for pause_s in _PAUSES_S:
                await asyncio.sleep(pause_s)
                timestamp = int(time.time())
                headers = {
                    "content-type": "application/json",
                    "webhook-id": event_id,
                    "webhook-timestamp": str(timestamp),
                    "webhook-signature": sign(
                        secret=secret, event_id=event_id, timestamp=timestamp, body=body
                    ),
                }
                try:
                    answer = await client.post(url, content=body, headers=headers)
                except (httpx.HTTPError, httpx.InvalidURL):
                    continue
                if answer.is_success:
                    return
