"""What did the operator choose?

Everything that can be set from outside has one name here, read once when a program starts. An
unset or empty variable means the default, and the defaults run the whole platform on a laptop.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from payengine.errors import ConfigurationError

__all__ = ["Settings"]

_DATABASE_SCHEMES = ("postgresql", "postgres")
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_WEB_SCHEMES = ("http", "https")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's choices. Times are in milliseconds; paths are absolute."""

    #: The data folder: embedded servers, the master key, the sandbox's store.
    home: Path
    host: str = "127.0.0.1"
    #: 0 lets the operating system pick a free port.
    port: int = 8000
    #: Unset: an embedded PostgreSQL is started.
    database_url: str | None = None
    #: The owner's login, for migrations only. Unset: the same as `database_url`.
    migration_url: str | None = None
    #: Unset: an embedded Valkey is started where there is one for this platform.
    redis_url: str | None = None
    master_key_file: Path | None = None
    #: Unset: the sandbox provider runs inside this process.
    sandbox_url: str | None = None
    #: "development" switches on introspection, the IDE and field suggestions.
    mode: Literal["development", "production"] = "development"
    gateway_deadline_ms: int = 8000
    pool_size: int = 10
    #: Whether the server does the background's work too.
    background: bool = True
    #: Jobs that one process does at the same time.
    job_concurrency: int = 8
    #: How long a worker may be silent before others do its jobs again.
    job_lease_ms: int = 15_000
    #: Distributions whose plugins run in this process, beside our own.
    trusted_plugins: tuple[str, ...] = ()
    #: What the plugin host of one distribution may hold in memory.
    plugin_memory_mb: int = 512
    #: Whether tenants' webhooks may go to this machine and to private networks.
    webhook_allow_private: bool = False
    #: How long the log of webhooks to tenants is kept.
    delivery_log_days: int = 30
    #: How long the providers' calls are kept as they came.
    inbound_raw_days: int = 90

    @property
    def is_development(self) -> bool:
        """Whether conveniences that tell a stranger too much are on."""
        return self.mode == "development"

    @property
    def master_key_path(self) -> Path:
        """Where the vault's master key is kept."""
        return self.master_key_file or self.home / "master.key"

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, /, **overrides: Any
    ) -> Settings:
        """Read `PAYENGINE_*`. An override that is not None wins over its variable.

        Overrides are named like the fields and checked like the variables, so command-line
        options go through the same gate. Raises ConfigurationError naming the variable.
        """
        unknown = overrides.keys() - set(cls.__struct_fields__)
        if unknown:
            raise ConfigurationError(f"There is no setting named {', '.join(sorted(unknown))}.")
        source = os.environ if environment is None else environment
        raw = {
            field: _spelled(overrides[field])
            if overrides.get(field) is not None
            else source.get(_variable(field), "")
            for field in cls.__struct_fields__
        }
        reader = _Reader({field: text.strip() for field, text in raw.items()})
        if reader.text("migration_url") and not reader.text("database_url"):
            raise ConfigurationError(
                "PAYENGINE_MIGRATION_URL is set but PAYENGINE_DATABASE_URL is not: set both, "
                "or neither to use the embedded PostgreSQL."
            )
        return cls(
            home=reader.path("home") or Path.cwd() / ".payengine",
            host=reader.text("host") or "127.0.0.1",
            port=reader.number("port", default=8000, least=0, most=65_535),
            database_url=reader.url("database_url", _DATABASE_SCHEMES),
            migration_url=reader.url("migration_url", _DATABASE_SCHEMES),
            redis_url=reader.url("redis_url", _REDIS_SCHEMES),
            master_key_file=reader.path("master_key_file"),
            sandbox_url=reader.url("sandbox_url", _WEB_SCHEMES),
            mode=reader.mode(),
            gateway_deadline_ms=reader.number(
                "gateway_deadline_ms", default=8000, least=50, most=120_000
            ),
            pool_size=reader.number("pool_size", default=10, least=1, most=500),
            background=reader.flag("background", default=True),
            job_concurrency=reader.number("job_concurrency", default=8, least=1, most=500),
            job_lease_ms=reader.number("job_lease_ms", default=15_000, least=500, most=600_000),
            trusted_plugins=reader.names("trusted_plugins"),
            plugin_memory_mb=reader.number("plugin_memory_mb", default=512, least=64, most=65_536),
            webhook_allow_private=reader.flag("webhook_allow_private"),
            delivery_log_days=reader.number("delivery_log_days", default=30, least=1, most=3_650),
            inbound_raw_days=reader.number("inbound_raw_days", default=90, least=1, most=3_650),
        )


def _spelled(override: Any) -> str:
    return ",".join(override) if isinstance(override, tuple) else str(override)


def _variable(field: str) -> str:
    return f"PAYENGINE_{field.upper()}"


def _refuse(field: str, problem: str, *, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"{_variable(field)} {problem}: {remedy}.")


class _Reader:
    """Turns texts into values. Values that may hold a password are never repeated in a message."""

    def __init__(self, raw: Mapping[str, str]) -> None:
        self._raw = raw

    def text(self, field: str) -> str | None:
        return self._raw[field] or None

    def path(self, field: str) -> Path | None:
        text = self.text(field)
        if text is None:
            return None
        if "\0" in text:
            raise _refuse(field, "holds a zero byte", remedy="give the path of a file or folder")
        try:
            return Path(os.path.abspath(Path(text).expanduser()))
        except RuntimeError as error:  # a "~name" of nobody
            raise _refuse(
                field, f"names a home folder that is unknown ({text})", remedy="write the full path"
            ) from error

    def number(self, field: str, *, default: int, least: int, most: int) -> int:
        text = self.text(field)
        if text is None:
            return default
        remedy = f"give a whole number from {least} to {most}, or unset it for {default}"
        if not (text.isascii() and text.isdigit()):
            raise _refuse(field, f"is {text!r}, which is not a whole number", remedy=remedy)
        if len(text) > 12 or not least <= int(text) <= most:
            raise _refuse(field, f"is {text}, which is out of range", remedy=remedy)
        return int(text)

    def names(self, field: str) -> tuple[str, ...]:
        names = tuple(one.strip() for one in (self.text(field) or "").split(",") if one.strip())
        strange = [one for one in names if not _DISTRIBUTION.fullmatch(one)]
        if strange:
            raise _refuse(
                field,
                f"holds {strange[0][:100]!r}, which names no distribution",
                remedy="write names of distributions, with commas between them",
            )
        return names

    def flag(self, field: str, *, default: bool = False) -> bool:
        text = (self.text(field) or str(default)).lower()
        if text in ("0", "false"):  # an override comes as Python spells it
            return False
        if text in ("1", "true"):
            return True
        raise _refuse(field, f"is {text!r}", remedy="write 1 for yes or 0 for no")

    def url(self, field: str, schemes: tuple[str, ...]) -> str | None:
        text = self.text(field)
        if text is None:
            return None
        try:
            scheme = urlsplit(text).scheme
        except ValueError as error:
            raise _refuse(field, "is not a URL", remedy=f"begin it with {schemes[0]}://") from error
        if scheme not in schemes or f"{scheme}://" != text[: len(scheme) + 3].lower():
            raise _refuse(
                field,
                "is not a URL of the right kind",
                remedy="begin it with " + " or ".join(f"{scheme}://" for scheme in schemes),
            )
        return text

    def mode(self) -> Literal["development", "production"]:
        text = self.text("mode")
        if text is None or text == "development":
            return "development"
        if text == "production":
            return "production"
        raise _refuse("mode", f"is {text!r}", remedy="write development or production")
