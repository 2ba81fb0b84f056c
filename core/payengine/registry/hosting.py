"""Whose code may run in this process?

That of the distributions which are developed with the engine, by a list that is shipped with it,
and of those that the operator trusts. Names are compared as the packaging standard normalizes them.
A name is all there is: whoever may install packages here decides what runs here.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import msgspec

from payengine.host.limits import HostLimits
from payengine.settings import Settings

__all__ = ["Hosting"]

_SEPARATORS = re.compile(r"[-_.]+")


class Hosting(msgspec.Struct, frozen=True, kw_only=True):
    """Which distributions run in process, and the bounds of the hosts of all others.

    `trusted` are names beside those of the shipped list. `all_in_process` hosts nobody: only for
    programs that hold nothing worth protecting, such as the conformance check.
    """

    trusted: tuple[str, ...] = ()
    limits: HostLimits = HostLimits()
    all_in_process: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> Hosting:
        """As the operator chose; its data folder and master key are out of hosts' reach."""
        private = (str(settings.home), str(settings.master_key_path))
        limits = HostLimits(memory_mb=settings.plugin_memory_mb, private=private)
        return cls(trusted=settings.trusted_plugins, limits=limits)

    @property
    def has_hosts(self) -> bool:
        """Whether this platform can run a plugin host."""
        return sys.platform != "win32"

    def is_trusted(self, distribution: str) -> bool:
        """Whether its code may run in this process."""
        if self.all_in_process:
            return True
        names = {_normal(name) for name in (*_built_in(), *self.trusted)}
        return bool(distribution) and _normal(distribution) in names


def _normal(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


@cache
def _built_in() -> tuple[str, ...]:
    package = Path(__file__).parents[1]
    shipped = package / "_built_in.txt"
    beside = package.parents[1] / "plugins" / "built-in.txt"
    lines = (shipped if shipped.is_file() else beside).read_text().splitlines()
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
