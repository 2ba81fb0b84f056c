"""Does a gateway believe only its provider?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from payengine.plugin import (
    Authorize,
    DisputeEvent,
    Outcome,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
)
from payengine.testing.case import GatewayCase, NotApplicable, refuse, require

__all__ = ["ALL"]

_LONG_AGO = timedelta(minutes=10)
_TAMPERED_BYTES = 24
_GARBAGE = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\x00\xff\xfe",
    b'{"id": NaN}',
    b"[" * 5_000,
    b'{"a":' * 2_000,
    b'"\\ud800"',
    b"1e999",
    b"\xef\xbb\xbf{}",
    b"9" * 10_000,
)


async def genuine_webhook_is_read(case: GatewayCase) -> None:
    """What the provider signed tells of the operation that was sent."""
    request, outcome, genuine = await _genuine(case)
    events = list(case.gateway.parse_webhook(case.call(), genuine))
    require(events, "a genuine webhook told nothing")
    for event in events:
        require(
            isinstance(event, WebhookEvent | DisputeEvent),
            "parse_webhook must return WebhookEvents and DisputeEvents",
        )
        require(event.event_id, "an event needs the provider's id, to be taken once")
        require(event.occurred_at.tzinfo is not None, "instants are aware")
    about = [
        event
        for event in events
        if isinstance(event, WebhookEvent)
        and (event.key == request.key or event.provider_reference == outcome.provider_reference)
    ]
    require(about, "the event names neither the key nor the reference of the operation")
    require(
        about[0].kind == "authorize" and about[0].outcome.status == outcome.status,
        f"the event says {about[0].kind} {about[0].outcome.status}",
    )
    again = list(case.gateway.parse_webhook(case.call(), genuine))
    require(
        [event.event_id for event in again] == [event.event_id for event in events],
        "the same webhook gets other event ids the second time",
    )


async def tampered_webhook_is_refused(case: GatewayCase) -> None:
    """A body that was changed in any place is refused."""
    _, _, genuine = await _genuine(case)
    body = genuine.body
    step = max(1, len(body) // _TAMPERED_BYTES)
    for place in range(0, len(body), step):
        changed = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        _refuses(case, _with(genuine, body=changed), f"a body changed at byte {place}")
    _refuses(case, _with(genuine, body=body + b" "), "a body with something appended")
    _refuses(case, _with(genuine, body=b""), "an empty body")


async def forged_webhook_is_refused(case: GatewayCase) -> None:
    """Without the provider's proof nothing is believed."""
    _, _, genuine = await _genuine(case)
    _, _, other = await _genuine(case)
    _refuses(case, _with(genuine, headers={}), "a webhook without headers")
    blank = dict.fromkeys(genuine.headers, "")
    _refuses(case, _with(genuine, headers=blank), "a webhook with empty headers")
    nonsense = dict.fromkeys(genuine.headers, "v1,é\x00 ,,=")
    _refuses(case, _with(genuine, headers=nonsense), "a webhook with nonsense headers")
    _refuses(case, _with(genuine, headers=other.headers), "another webhook's headers")


async def stale_webhook_is_refused(case: GatewayCase) -> None:
    """A genuine webhook that comes ten minutes late is a replay."""
    now = datetime.now(UTC)
    _, _, old = await _genuine(case, at=now - _LONG_AGO)
    _refuses(case, _with(old, received_at=now), "a webhook of ten minutes ago")


async def early_webhook_is_refused(case: GatewayCase) -> None:
    """A webhook from ten minutes in the future is refused."""
    now = datetime.now(UTC)
    _, _, early = await _genuine(case, at=now + _LONG_AGO)
    _refuses(case, _with(early, received_at=now), "a webhook from the future")


async def garbage_webhook_is_refused(case: GatewayCase) -> None:
    """Whatever the body is, the answer is `WebhookRefused` and no other error."""
    _, _, genuine = await _genuine(case)
    for body in _GARBAGE:
        _refuses(case, _with(genuine, body=body), f"the body {body[:20]!r}")
        _refuses(case, _with(genuine, body=body, headers={}), f"the bare body {body[:20]!r}")


def _refuses(case: GatewayCase, request: WebhookRequest, what: str) -> None:
    try:
        events = case.gateway.parse_webhook(case.call(), request)
    except WebhookRefused:
        return
    except Exception as fault:
        refuse(f"{what} raised {type(fault).__name__} in place of WebhookRefused: {fault}")
    refuse(f"{what} was accepted with {len(events)} events")


async def _genuine(
    case: GatewayCase, *, at: datetime | None = None
) -> tuple[Authorize, Outcome, WebhookRequest]:
    if not case.manifest.webhooks:
        raise NotApplicable("the manifest declares no webhooks")
    if case.sign_webhook is None:
        raise NotApplicable("the case gives no sign_webhook")
    request, outcome, _ = await case.approved(capture=True)
    moment = at or datetime.now(UTC)
    return request, outcome, case.sign_webhook(case.call(), request, outcome, moment)


def _with(
    request: WebhookRequest,
    *,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    received_at: datetime | None = None,
) -> WebhookRequest:
    return msgspec.structs.replace(
        request,
        body=request.body if body is None else body,
        headers=request.headers if headers is None else headers,
        received_at=received_at or request.received_at,
    )


ALL = (
    genuine_webhook_is_read,
    tampered_webhook_is_refused,
    forged_webhook_is_refused,
    stale_webhook_is_refused,
    early_webhook_is_refused,
    garbage_webhook_is_refused,
)
