"""What does the tenant's other fraud provider think?"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from payengine.plugin import (
    Call,
    Feature,
    FraudContext,
    PluginSettings,
    RuleManifest,
    RuleVerdict,
    Secret,
    VerdictKind,
    to_plain,
    velocity,
)

from payengine_fraud_remote.addresses import parse_url, pinned
from payengine_fraud_remote.signing import signed_headers

__all__ = ["ProviderFailed", "RemoteProvider", "RemoteProviderSettings"]

_MOST_BYTES = 16_384
_LEAST_SECRET = 16
_FORMAT = 1
_OK = 200

_FEATURES = (
    velocity("card", "count", "1h"),
    velocity("card", "count", "1h", where="declined"),
)
_NOTHING = RuleVerdict()
_STRENGTH: dict[VerdictKind, int] = {
    "abstain": 0,
    "allow": 1,
    "review": 2,
    "challenge": 3,
    "block": 4,
}
_UNCODED = re.compile(r"[^a-z0-9_]+")


class ProviderFailed(Exception):
    """The provider gave no verdict; the rule's verdict on errors stands."""


class RemoteProviderSettings(PluginSettings, frozen=True, kw_only=True):
    """Whom to ask, and how much the answer may decide.

    Without `url` and `secret` nobody is asked. `most` is the strongest verdict that is taken from
    there; a stronger one becomes this one. With `send_names` off, no card, customer, device, e-mail
    or network address is sent, not even as the opaque names that they are.
    """

    url: Annotated[str, msgspec.Meta(max_length=2_000)] = ""
    secret: Secret = ""
    most: Literal["review", "challenge", "block"] = "challenge"
    send_names: bool = True

    def __post_init__(self) -> None:
        """Raises `ValueError` for a URL that can never be asked, and for a short secret."""
        if self.url:
            parse_url(self.url)
        if self.secret and len(self.secret) < _LEAST_SECRET:
            raise ValueError(f"secret has at least {_LEAST_SECRET} characters")


class _Answer(msgspec.Struct, frozen=True):
    """What the provider may say; whatever else it says is not read."""

    verdict: Literal["abstain", "allow", "review", "challenge", "block"]
    reason: Annotated[str, msgspec.Meta(max_length=100)] = ""
    detail: Annotated[str, msgspec.Meta(max_length=1_000)] = ""
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None


class RemoteProvider:
    """A provider that answers signed JSON with a verdict."""

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private

    def describe(self) -> RuleManifest:
        """What it is; off until a tenant says whom to ask."""
        return RuleManifest(
            name="remote_provider",
            title="Remote provider",
            version="1.0.0",
            default_mode="off",
            time_limit_ms=1_000,
            remote=True,
            settings=RemoteProviderSettings,
        )

    def features(self, settings: PluginSettings) -> Sequence[Feature]:
        """What the provider cannot count by itself."""
        return _FEATURES

    async def score(self, call: Call, context: FraudContext) -> RuleVerdict:
        """The provider's verdict; raises `ProviderFailed` and `UrlRefused`. Abstains unless set."""
        settings = call.settings
        if not isinstance(settings, RemoteProviderSettings) or not (
            settings.url and settings.secret
        ):
            return _NOTHING
        async with asyncio.timeout(call.deadline_ms / 1_000):
            status, body = await self._asked(settings, call, context)
        if status != _OK:
            raise ProviderFailed(f"the provider answered with status {status}")
        return _read(body, settings)

    async def _asked(
        self, settings: RemoteProviderSettings, call: Call, context: FraudContext
    ) -> tuple[int, bytes]:
        import httpx

        target = parse_url(settings.url)
        address = await pinned(target, allow_private=self._allow_private)
        body = msgspec.json.encode(_question(context, settings, mode=call.mode))
        headers = {
            "host": target.authority,
            "content-type": "application/json",
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "payengine-fraud-remote/1",
            **signed_headers(
                settings.secret,
                message_id=f"{context.payment_id}.{context.stage}",
                timestamp=int(time.time()),
                body=body,
            ),
        }
        # A client of its own: a kept connection is known by its address, and names share those.
        async with httpx.AsyncClient(
            verify=_trust(),
            timeout=call.deadline_ms / 1_000,
            follow_redirects=False,
            trust_env=False,
        ) as client:
            request = client.build_request(
                "POST",
                target.at(address),
                headers=headers,
                content=body,
                extensions={"sni_hostname": target.host},
            )
            try:
                answer = await client.send(request, stream=True)
                try:
                    return answer.status_code, await _bounded(answer)
                finally:
                    await answer.aclose()
            except httpx.HTTPError as failure:
                raise ProviderFailed(f"{type(failure).__name__} at the provider") from None


async def _bounded(answer: Any) -> bytes:
    read = bytearray()
    async for piece in answer.aiter_raw():
        read += piece
        if len(read) > _MOST_BYTES:
            raise ProviderFailed(f"the answer is longer than {_MOST_BYTES} bytes")
    return bytes(read)


def _question(
    context: FraudContext, settings: RemoteProviderSettings, *, mode: str
) -> dict[str, Any]:
    plain = to_plain(context)
    plain.pop("tenant", None)
    plain.pop("metadata", None)
    if not settings.send_names:
        for name in ("card", "customer", "device", "email", "ip", "seller"):
            plain.pop(name, None)
    return {"format": _FORMAT, "mode": mode, "payment": plain}


def _read(body: bytes, settings: RemoteProviderSettings) -> RuleVerdict:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ProviderFailed("the answer is no verdict") from None
    kind: VerdictKind = answer.verdict
    if _STRENGTH[kind] > _STRENGTH[settings.most]:
        kind = settings.most
    reason = _UNCODED.sub("_", answer.reason.lower()).strip("_")[:40]
    detail = "".join(one for one in answer.detail if one.isprintable())[:200]
    return RuleVerdict(
        verdict=kind,
        reason=reason or ("remote_provider" if _STRENGTH[kind] > 1 else ""),
        detail=detail,
        score=answer.score,
    )


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()
