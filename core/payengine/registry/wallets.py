"""What did the buyer's wallet hand over?

The engine's one way to a wallet: it finds the tenant's settings, asks the plugin through the
guard and believes only an answer that fits. What a wallet refuses, and whatever else happens, is
a typed error; no error repeats anything of the token.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, cast

import msgspec

from payengine.context import TenantContext
from payengine.errors import (
    GatewayUnavailable,
    InputInvalid,
    PaymentMethodInvalid,
    PluginNotEnabled,
    PluginNotFound,
    WalletTokenRefused,
    WalletUnavailable,
)
from payengine.plugin import (
    ApprovedAmount,
    Call,
    Gateway,
    Manifest,
    NetworkToken,
    OpenedToken,
    OpenToken,
    StartSession,
    Wallet,
    WalletRefused,
    WalletSession,
    WalletSessions,
)
from payengine.registry.answers import clean_text
from payengine.registry.guard import Guard
from payengine.registry.loader import InstalledPlugins
from payengine.registry.offered import LoadedWallet
from payengine.registry.tenant_settings import TenantSettings

__all__ = ["WalletDesk"]

_CURRENCY_NUMBER = re.compile(r"[0-9]{3}")
_LARGEST_SESSION_BYTES = 65_536
_QUESTIONS = 8
_WORDS = {
    "malformed": "The wallet's token cannot be read.",
    "protocol": "The wallet's token has a version or an algorithm that is not accepted.",
    "signature": "The wallet's token was not signed by the wallet's provider.",
    "expired": "The wallet's token is too old, or not valid yet; let the buyer pay again.",
    "recipient": "The wallet's token was made for another merchant.",
    "unsupported": "The wallet's token holds nothing that can be charged here.",
}


class WalletDesk:
    """The installed wallets, asked for one tenant at a time."""

    def __init__(self, plugins: InstalledPlugins, settings: TenantSettings, guard: Guard) -> None:
        self._plugins = plugins
        self._settings = settings
        self._guard = guard

    async def open_token(
        self, context: TenantContext, kind: str, token: str, *, at: datetime, deadline_ms: int
    ) -> OpenedToken:
        """What the token of a method of this kind holds, at the tenant's instant `at`.

        Raises `PaymentMethodInvalid` where no wallet has this name, `PluginNotEnabled`,
        `WalletTokenRefused`, and `WalletUnavailable` where the wallet does not answer.
        """
        found = self._plugins.wallets.get(kind)
        if found is None:
            raise PaymentMethodInvalid(
                f"No wallet named {kind[:60]!r} is installed.", path=("paymentMethod", "kind")
            )
        call = await self._call(context, found, deadline_ms=deadline_ms)
        request = OpenToken(token=token, at=at)
        answer = await self._ask(context, found, call, "open_token", request)
        if isinstance(answer, WalletRefused):
            words = _WORDS.get(answer.reason, _WORDS["malformed"])
            detail = clean_text(str(answer.detail)) if answer.reason == "unsupported" else ""
            raise WalletTokenRefused(
                f"{words} {detail}".strip(), path=("paymentMethod", "token")
            ) from None
        opened = _judged(answer)
        if opened is None:
            raise WalletUnavailable(f"{found.manifest.title} answered with nonsense.")
        return opened

    async def start_session(
        self,
        context: TenantContext,
        wallet: str,
        *,
        validation_url: str,
        domain: str,
        deadline_ms: int,
    ) -> dict[str, Any]:
        """What the buyer's browser needs to show the wallet.

        Raises `PluginNotFound`, `PluginNotEnabled`, `InputInvalid` where the wallet refuses the
        address or needs no session, `WalletUnavailable`, `PermissionDenied`.
        """
        context.require("payments:write")
        found = self._plugins.wallets.get(wallet)
        if found is None:
            raise PluginNotFound(f"No wallet named {wallet[:60]!r} is installed.", path=("wallet",))
        if not found.manifest.sessions:
            raise InputInvalid(f"{found.manifest.title} needs no session.", path=("wallet",))
        call = await self._call(context, found, deadline_ms=deadline_ms)
        request = StartSession(validation_url=validation_url, domain=domain)
        answer = await self._ask(context, found, call, "start_session", request)
        if isinstance(answer, WalletRefused):
            raise InputInvalid(clean_text(str(answer.detail or answer)), path=("validationUrl",))
        session = answer.session if type(answer) is WalletSession else None
        if not isinstance(session, dict) or not _is_small_json(session):
            raise WalletUnavailable(f"{found.manifest.title} answered with nonsense.")
        return session

    async def _call(self, context: TenantContext, found: LoadedWallet, *, deadline_ms: int) -> Call:
        state = (await self._settings.opened(context))[found.plugin]
        if not state.enabled:
            raise PluginNotEnabled(f"{found.manifest.title} is not enabled for this tenant.")
        if state.settings is None:
            raise WalletUnavailable(state.problem or None)
        return Call(
            account=str(context.tenant_id),
            settings=state.settings,
            deadline_ms=deadline_ms,
            mode=context.mode,
        )

    async def _ask(
        self,
        context: TenantContext,
        found: LoadedWallet,
        call: Call,
        method: str,
        request: msgspec.Struct,
    ) -> object:
        """What the wallet returned, or the `WalletRefused` that it raised."""
        # The guard reads a manifest's name, title and bound, which both kinds of manifest have.
        # Its questions share an eighth of the bound; a wallet has nothing but questions.
        manifest = msgspec.structs.replace(
            found.manifest,
            name=f"wallet:{found.name}",
            max_concurrency=_QUESTIONS * found.manifest.max_concurrency,
        )
        try:
            return await self._guard.ask(
                context.tenant_id,
                cast(Gateway, _Asked(found.wallet)),
                cast(Manifest, manifest),
                call,
                method,
                request=request,
            )
        except GatewayUnavailable as unavailable:
            raise WalletUnavailable(unavailable.message) from None


class _Asked:
    """A wallet whose refusals are values: they are answers, and the guard reads none of them."""

    def __init__(self, wallet: Wallet) -> None:
        self._wallet = wallet

    async def open_token(self, call: Call, *, request: OpenToken) -> object:
        try:
            return await self._wallet.open_token(call, request)
        except WalletRefused as refusal:
            return refusal

    async def start_session(self, call: Call, *, request: StartSession) -> object:
        try:
            return await cast(WalletSessions, self._wallet).start_session(call, request)
        except WalletRefused as refusal:
            return refusal


def _judged(answer: object) -> OpenedToken | None:
    """The answer made of fresh, checked values, or None where it does not fit."""
    if type(answer) is not OpenedToken or type(answer.network_token) is not NetworkToken:
        return None
    token_id: object = answer.token_id
    if not isinstance(token_id, str) or not 0 < len(token_id) <= 255 or not token_id.isprintable():
        return None
    approved: object = answer.approved
    if approved is not None:
        if type(approved) is not ApprovedAmount:
            return None
        minor: object = approved.minor
        number: object = approved.currency_number
        if type(minor) is not int or minor < 0 or not isinstance(number, str):
            return None
        if not _CURRENCY_NUMBER.fullmatch(number):
            return None
    return answer


def _is_small_json(session: dict[str, Any]) -> bool:
    try:
        return len(msgspec.json.encode(session)) <= _LARGEST_SESSION_BYTES
    except (TypeError, ValueError, RecursionError):
        return False
