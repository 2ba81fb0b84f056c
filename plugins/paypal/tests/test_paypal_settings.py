"""May a tenant point this machine at any address? No."""

from __future__ import annotations

import msgspec
import pytest
from payengine.errors import PluginSettingsInvalid
from payengine.plugin import parse_settings, secret_fields
from payengine_paypal.settings import HOSTS_VARIABLE, PayPalSettings

GIVEN = {"client_id": "an-app", "client_secret": "its-secret"}


def test_credentials_are_needed_and_sealed() -> None:
    with pytest.raises(PluginSettingsInvalid):
        parse_settings(PayPalSettings, {"client_id": "an-app"})
    assert secret_fields(PayPalSettings) == {"client_id", "client_secret", "webhook_id"}


@pytest.mark.parametrize(
    "base",
    ["https://api-m.paypal.com", "https://api-m.sandbox.paypal.com/", "https://api.paypal.com:443"],
)
def test_paypals_own_addresses_are_taken(base: str) -> None:
    settings = parse_settings(PayPalSettings, GIVEN | {"api_base": base})
    assert isinstance(settings, PayPalSettings)
    assert settings.base("live") == base.rstrip("/")


@pytest.mark.parametrize(
    "base",
    ["http://api-m.paypal.com", "https://api-m.paypal.com.evil.example", "https://10.0.0.1",
     "http://169.254.169.254", "http://127.0.0.1:5432", "https://api-m.paypal.com:8443",
     "https://user@api-m.paypal.com", "https://api-m.paypal.com/x", "https://api-m.paypal.com?x",
     "file:///etc/passwd", "https://", "https://[", "nonsense", "https://xapi-m.paypal.com",
     "https://api-m.paypal.com\\@evil.example", "https://evil.example#api-m.paypal.com"],
)  # fmt: skip
def test_other_addresses_are_refused(base: str) -> None:
    with pytest.raises(PluginSettingsInvalid):
        parse_settings(PayPalSettings, GIVEN | {"api_base": base})


def test_an_operator_may_allow_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOSTS_VARIABLE, "127.0.0.1:9000, mock.example")
    for base in ("http://127.0.0.1:9000", "https://mock.example"):
        parse_settings(PayPalSettings, GIVEN | {"api_base": base})
    with pytest.raises(PluginSettingsInvalid):
        parse_settings(PayPalSettings, GIVEN | {"api_base": "http://127.0.0.1:9001"})


def test_world_decides_without_an_address() -> None:
    settings = msgspec.convert(GIVEN, PayPalSettings)
    assert settings.base("live") == "https://api-m.paypal.com"
    assert settings.base("test") == "https://api-m.sandbox.paypal.com"
