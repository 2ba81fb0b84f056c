"""How much may a plugin host use, and what may it read?"""

from __future__ import annotations

import re
import sys
from itertools import islice
from pathlib import Path

import msgspec

__all__ = ["HostLimits", "Jail"]

_MB = 1024 * 1024


class HostLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one host. Times are in seconds.

    `memory_mb` bounds what the process writes to; its address space may be four times as large.
    `load_s` is how long importing and describing may take, `grace_s` how long a call that was
    given up may take to end before the process is killed. `private` are the folders and files
    that it must not read although they may lie below a folder with code: the data folder, the
    master key.
    """

    memory_mb: int = 512
    most_files: int = 256
    most_threads: int = 64
    load_s: float = 60.0
    grace_s: float = 1.0
    niceness: int = 10
    private: tuple[str, ...] = ()

    def jail(self, *, user: int | None, paths: tuple[str, ...]) -> Jail:
        """What the other side shuts itself into before it imports the plugin."""
        readable, listable = _readable(paths, private=self.private)
        return Jail(
            user=user,
            data_bytes=self.memory_mb * _MB,
            space_bytes=4 * self.memory_mb * _MB,
            most_files=self.most_files,
            most_threads=self.most_threads,
            niceness=self.niceness,
            readable=readable,
            listable=listable,
        )


class Jail(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds in the words of the operating system.

    `user` is the number of the user and group to become, None to stay who we are. `readable` are
    the folders and files that may be read, `listable` the folders whose names of files may be
    seen; nothing may be written.
    """

    user: int | None
    data_bytes: int
    space_bytes: int
    most_files: int
    most_threads: int
    niceness: int
    readable: tuple[str, ...]
    listable: tuple[str, ...]


#: What a program needs of the machine to speak to a provider: libraries, names, certificates.
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/timezone",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
)
_MOST_ENTRIES = 4_096
_IMPORTABLE = re.compile(r"[A-Za-z_]\w*(\.[\w.+-]+)?|.+\.(dist|egg)-info|.+\.libs")


def _readable(
    paths: tuple[str, ...], *, private: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may be read, folders with all below, and the folders whose names alone may be seen.

    An environment's own folders are read as a whole. Any other folder on the import path may be
    where somebody works: of that, only what can be imported.
    """
    kept_out = [Path(one).resolve() for one in private]
    whole = {Path(one).resolve() for one in (sys.prefix, sys.base_prefix, *_SYSTEM)}
    found: set[Path] = set()
    listed: set[Path] = set()
    for path in {*whole, *(Path(one).resolve() for one in paths)}:
        if not path.exists():
            continue
        is_whole = path in whole or path.is_file() or any(one in whole for one in path.parents)
        if is_whole or path.name in ("site-packages", "dist-packages"):
            found |= _without(path, kept_out)
            continue
        listed.add(path)
        for entry in islice(sorted(path.iterdir()), _MOST_ENTRIES):
            if _IMPORTABLE.fullmatch(entry.name) and not _is_data(entry):
                found |= _without(entry, kept_out)
    least = {path for path in found if not any(parent in found for parent in path.parents)}
    return tuple(map(str, sorted(least))), tuple(map(str, sorted(listed)))


def _is_data(entry: Path) -> bool:
    return entry.is_file() and entry.suffix not in (".py", ".so", ".pyd")


def _without(path: Path, kept_out: list[Path]) -> set[Path]:
    """The path, or where it holds something private, its other entries."""
    if any(path == one or one in path.parents for one in kept_out):
        return set()
    if not any(path in one.parents for one in kept_out):
        return {path}
    found: set[Path] = set()
    for entry in islice(sorted(path.iterdir()), _MOST_ENTRIES):
        if not entry.is_symlink():
            found |= _without(entry, kept_out)
    return found
