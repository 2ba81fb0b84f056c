"""Is every choice of the operator read, checked and refused in words that help?"""

from __future__ import annotations

from pathlib import Path

import pytest
from payengine.errors import ConfigurationError
from payengine.settings import Settings


def test_an_empty_environment_gives_a_laptops_defaults() -> None:
    settings = Settings.from_environment({"PAYENGINE_PORT": "", "PAYENGINE_MODE": " "})
    assert settings.home == Path.cwd() / ".payengine"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.database_url is settings.redis_url is settings.sandbox_url is None
    assert settings.is_development
    assert (settings.gateway_deadline_ms, settings.pool_size) == (8000, 10)
    assert settings.master_key_path == settings.home / "master.key"


def test_variables_are_read_and_paths_made_absolute() -> None:
    settings = Settings.from_environment(
        {
            "PAYENGINE_HOME": "data/../elsewhere",
            "PAYENGINE_PORT": "9000",
            "PAYENGINE_DATABASE_URL": "postgresql://app@db/pay",
            "PAYENGINE_MIGRATION_URL": "postgres://owner@db/pay",
            "PAYENGINE_REDIS_URL": "rediss://cache",
            "PAYENGINE_MASTER_KEY_FILE": "/run/secrets/key",
            "PAYENGINE_SANDBOX_URL": "http://127.0.0.1:9999",
            "PAYENGINE_MODE": "production",
        }
    )
    assert settings.home == Path.cwd() / "elsewhere"
    assert settings.port == 9000
    assert settings.master_key_path == Path("/run/secrets/key")
    assert not settings.is_development


def test_an_override_wins_and_none_leaves_the_variable() -> None:
    environment = {"PAYENGINE_PORT": "9000", "PAYENGINE_HOST": "0.0.0.0"}
    settings = Settings.from_environment(environment, port=7000, host=None)
    assert (settings.port, settings.host) == (7000, "0.0.0.0")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PORT", "http", "not a whole number"),
        ("PORT", "65536", "out of range"),
        ("PORT", "-1", "not a whole number"),
        ("PORT", "٣", "not a whole number"),
        ("PORT", "9" * 5000, "out of range"),
        ("POOL_SIZE", "0", "out of range"),
        ("GATEWAY_DEADLINE_MS", "8s", "not a whole number"),
        ("WEBHOOK_ALLOW_PRIVATE", "yes please", "1 for yes or 0 for no"),
        ("MODE", "prod", "development or production"),
        ("DATABASE_URL", "mysql://db/pay", "postgresql://"),
        ("DATABASE_URL", "localhost", "postgresql://"),
        ("REDIS_URL", "http://cache", "redis://"),
        ("SANDBOX_URL", "127.0.0.1:80", "http://"),
        ("SANDBOX_URL", "http://[", "not a URL"),
        ("HOME", "a\0b", "zero byte"),
        ("HOME", "~nobody-of-this-name/x", "full path"),
    ],
)
def test_a_bad_value_is_refused_by_its_variables_name(
    variable: str, value: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"PAYENGINE_{variable} .*{words}"):
        Settings.from_environment({f"PAYENGINE_{variable}": value})


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Settings.from_environment({"PAYENGINE_DATABASE_URL": "mysql://u:hunter2@db/pay"})
    assert "hunter2" not in str(refusal.value)


def test_a_migration_url_alone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="PAYENGINE_DATABASE_URL is not"):
        Settings.from_environment({"PAYENGINE_MIGRATION_URL": "postgresql://owner@db/pay"})


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="colour"):
        Settings.from_environment({}, colour="red")


@pytest.mark.parametrize(
    ("text", "is_on"), [("1", True), ("true", True), ("0", False), ("", False)]
)
def test_private_webhooks_are_off_unless_switched_on(text: str, is_on: bool) -> None:
    settings = Settings.from_environment({"PAYENGINE_WEBHOOK_ALLOW_PRIVATE": text})
    assert settings.webhook_allow_private is is_on
    assert Settings.from_environment({}, webhook_allow_private=is_on).webhook_allow_private is is_on
