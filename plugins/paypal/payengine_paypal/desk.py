"""Who does the work of one call, in the thread that it was given?

Everything that costs time to import hangs on this module: the gateway imports it with the first
call, so that a command line that only names its plugins stays quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from payengine.plugin import (
    AcceptDispute,
    Authorize,
    Call,
    Capture,
    DisputeEvent,
    DisputeEvidence,
    ForgetMethod,
    Lookup,
    LookupMethod,
    NotSent,
    Outcome,
    Refund,
    SaveMethod,
    Void,
    WebhookEvent,
    WebhookRequest,
)

from payengine_paypal import disputes, refunds, saving
from payengine_paypal.client import Accounts, Client
from payengine_paypal.memory import Memory
from payengine_paypal.settings import PayPalSettings
from payengine_paypal.steps import Steps
from payengine_paypal.webhooks import WebhookReader

__all__ = ["Desk"]


class Desk:
    """The accounts, what was sent a moment ago, and the certificates of webhooks."""

    def __init__(self) -> None:
        self._accounts = Accounts()
        self._memory = Memory()
        self._webhooks = WebhookReader()
        #: The class of a request → who answers it.
        self._work: dict[type[Any], Callable[[Call, Steps, Any], Any]] = {
            Authorize: self._authorize,
            Capture: lambda call, steps, request: steps.capture(request),
            Void: lambda call, steps, request: steps.void(request),
            Refund: lambda call, steps, request: refunds.give_back(steps, request),
            Lookup: self._look_up,
            SaveMethod: lambda call, steps, request: saving.save(steps, request),
            LookupMethod: lambda call, steps, request: saving.look_up(steps, request),
            ForgetMethod: lambda call, steps, request: saving.forget(steps, request),
            DisputeEvidence: lambda call, steps, request: disputes.submit(steps, request),
            AcceptDispute: lambda call, steps, request: disputes.accept(steps, request),
        }

    def answer(self, call: Call, request: object, *, until: float) -> Any:
        """The answer to any request of the contract; `until` is of `time.monotonic`."""
        brand = _settings(call).brand_name
        steps = Steps(self._client(call), until=until, brand=brand)
        return self._work[type(request)](call, steps, request)

    def read_webhook(
        self, call: Call, request: WebhookRequest
    ) -> Sequence[WebhookEvent | DisputeEvent]:
        """Verify and read; raises `WebhookRefused`."""
        return self._webhooks.parse(call, request, ask=lambda: self._client(call))

    def close(self) -> None:
        """Close the connections, and forget the certificates."""
        self._webhooks.close()
        self._accounts.close()

    def _client(self, call: Call) -> Client:
        settings = _settings(call)
        return self._accounts.client(
            call.account,
            base=settings.base(call.mode),
            client_id=settings.client_id,
            client_secret=settings.client_secret,
        )

    def _authorize(self, call: Call, steps: Steps, request: Authorize) -> Outcome:
        self._memory.sending(call.account, request)
        try:
            outcome = steps.authorize(request)
        except NotSent:
            self._memory.never_left(call.account, request.key)
            raise
        self._memory.ended(call.account, request.key, outcome)
        return outcome

    def _look_up(self, call: Call, steps: Steps, request: Lookup) -> Outcome:
        reference = request.provider_reference
        if request.kind == "authorize":
            return self._look_up_authorization(call, steps, request)
        if reference is None:
            return Outcome(status="not_found")
        if request.kind == "capture":
            return steps.look_up_capture(request, reference)
        if request.kind == "refund":
            return refunds.look_up_refund(steps, request, reference)
        return steps.look_up_void(reference)

    def _look_up_authorization(self, call: Call, steps: Steps, request: Lookup) -> Outcome:
        if request.provider_reference is not None:
            return steps.look_up_authorization(request, request.provider_reference)
        sent = self._memory.find(call.account, request.key)
        if sent is None:
            return Outcome(status="not_found")
        if sent.outcome is None:
            return self._authorize(call, steps, sent.request)
        if sent.outcome.provider_reference is not None:
            return steps.look_up_authorization(request, sent.outcome.provider_reference)
        declined = sent.outcome.status == "declined"
        return sent.outcome if declined else Outcome(status="not_found")


def _settings(call: Call) -> PayPalSettings:
    if not isinstance(call.settings, PayPalSettings):
        raise NotSent("the settings are not those of PayPal")
    return call.settings
