"""What does a KYC check say of a vendor?

The engine's one way to such a check: it finds the tenant's settings, asks the plugin through the
guard and believes only an answer of the right shape. No answer leaves the vendor unverified.
"""

from __future__ import annotations

from typing import cast, get_args

import msgspec

from payengine.context import TenantContext
from payengine.errors import GatewayUnavailable
from payengine.plugin import (
    Call,
    CheckVendor,
    Gateway,
    KycCheck,
    KycResult,
    Manifest,
    VendorVerdict,
)
from payengine.registry.answers import clean_text
from payengine.registry.guard import Guard
from payengine.registry.loader import InstalledPlugins
from payengine.registry.offered import LoadedKycCheck
from payengine.registry.tenant_settings import TenantSettings

__all__ = ["MOST_REQUIREMENTS", "KycDesk"]

#: The most requirements that one verdict names.
MOST_REQUIREMENTS = 50

#: The guard lets questions have an eighth of a bound; a check has nothing but questions.
_QUESTIONS = 8


class KycDesk:
    """The installed KYC checks, asked for one tenant at a time."""

    def __init__(self, plugins: InstalledPlugins, settings: TenantSettings, guard: Guard) -> None:
        self._plugins = plugins
        self._settings = settings
        self._guard = guard

    async def enabled(self, context: TenantContext) -> list[str]:
        """The checks that this tenant has enabled, by name."""
        states = await self._settings.opened(context)
        return [one.name for one in self._plugins.kyc_checks.values() if states[one.plugin].enabled]

    async def ask(
        self, context: TenantContext, name: str, request: CheckVendor, *, deadline_ms: int
    ) -> VendorVerdict | None:
        """The check's verdict; None where it does not answer in time or answers with nonsense."""
        found = self._plugins.kyc_checks.get(name)
        if found is None:
            return None
        state = (await self._settings.opened(context))[found.plugin]
        if not state.enabled or state.settings is None:
            return None
        call = Call(
            account=str(context.tenant_id),
            settings=state.settings,
            deadline_ms=deadline_ms,
            mode=context.mode,
        )
        manifest = _manifest_for_guard(found)
        try:
            answer = await self._guard.ask(
                context.tenant_id,
                cast(Gateway, _Asked(found.check)),
                manifest,
                call,
                "check_vendor",
                request=request,
            )
        except GatewayUnavailable:
            return None
        return _judged(answer)


def _manifest_for_guard(found: LoadedKycCheck) -> Manifest:
    """The guard reads a name, a title and a bound, which both kinds of manifest have."""
    return cast(
        Manifest,
        msgspec.structs.replace(
            found.manifest,
            name=f"kyc:{found.name}",
            max_concurrency=_QUESTIONS * found.manifest.max_concurrency,
        ),
    )


class _Asked:
    """A check as the guard calls one: by names."""

    def __init__(self, check: KycCheck) -> None:
        self._check = check

    async def check_vendor(self, call: Call, *, request: CheckVendor) -> object:
        return await self._check.check_vendor(call, request)


def _judged(answer: object) -> VendorVerdict | None:
    """The answer made of checked values, or None where it does not fit."""
    if type(answer) is not VendorVerdict or answer.result not in get_args(KycResult):
        return None
    requirements: object = answer.requirements
    reason: object = answer.reason
    if not isinstance(requirements, tuple) or len(requirements) > MOST_REQUIREMENTS:
        return None
    if not isinstance(reason, str) or not all(isinstance(each, str) for each in requirements):
        return None
    return VendorVerdict(
        result=answer.result,
        requirements=tuple(clean_text(each) for each in requirements),
        reason=clean_text(reason),
    )
