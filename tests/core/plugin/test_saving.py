"""Do the words about kept payment methods cross a socket, and is the promise checked?"""

from __future__ import annotations

import msgspec
import pytest
from payengine.errors import PluginIncompatible
from payengine.plugin import (
    Decline,
    ForgetMethod,
    LookupMethod,
    Manifest,
    Message,
    NextAction,
    PaymentMethod,
    SavedToken,
    SaveMethod,
    SavesMethods,
    from_plain,
    to_plain,
)
from payengine.registry.manifests import manifest_of
from payengine_sandbox.gateway import MANIFEST, SandboxGateway


@pytest.mark.parametrize(
    "message",
    [
        SaveMethod(key="k", payment_method=PaymentMethod(token="t"), customer_reference="c"),
        LookupMethod(key="k", provider_reference="r"),
        ForgetMethod(key="k", token="t"),
        SavedToken(status="saved", token="t", label="visa 4242"),
        SavedToken(status="requires_action", next_action=NextAction(url="https://bank.example")),
        SavedToken(status="declined", decline=Decline(code="lost_card", raw_code="41")),
    ],
)
def test_words_cross_a_socket_unchanged(message: Message) -> None:
    wire = msgspec.json.encode(to_plain(message))
    assert from_plain(msgspec.json.decode(wire), type(message)) == message


class _Boaster(SandboxGateway):
    def describe(self) -> Manifest:
        """Promises what it lacks."""
        return msgspec.structs.replace(MANIFEST, saved_methods=True)


class _Keeper(_Boaster):
    async def save_method(self, call: object, request: SaveMethod) -> SavedToken:
        """Keeps."""
        return SavedToken(status="saved", token=request.payment_method.token)

    async def lookup_method(self, call: object, request: LookupMethod) -> SavedToken:
        """Waits."""
        return SavedToken(status="pending", provider_reference=request.provider_reference)

    async def forget_method(self, call: object, request: ForgetMethod) -> SavedToken:
        """Forgets."""
        return SavedToken(status="forgotten", token=request.token)


def test_a_gateway_that_promises_to_keep_methods_must_have_the_calls() -> None:
    assert isinstance(_Keeper(), SavesMethods)
    assert manifest_of(_Keeper()).saved_methods
    with pytest.raises(PluginIncompatible, match="saved_methods"):
        manifest_of(_Boaster())
