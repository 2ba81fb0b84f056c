"""Which files may this process read?

Landlock is the Linux kernel's own fence (5.13 and newer): a process without privileges gives up,
for ever, what it does not name. It also parts the process from all others that are not in it:
their memory, their environment, and from version 6 on their signals.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

__all__ = ["allow_reading", "version"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_BIND_TCP = 1
#: How many rights over files each version knows.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_FILE_RIGHTS = 16


def version(libc: ctypes.CDLL) -> int:
    """The version that this kernel keeps; 0 for none."""
    found: int = libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    return max(0, found)


def allow_reading(libc: ctypes.CDLL, paths: Iterable[str], *, listing: Iterable[str]) -> bool:
    """Nothing but these may be read, and nothing written but `/dev/null`; False where it failed.

    Of folders in `listing` and below, the names may be seen.

    `no_new_privs` must be set before.
    """
    known = version(libc)
    if known == 0:
        return False
    rights = (1 << _FILE_RIGHTS.get(known, _NEWEST_FILE_RIGHTS)) - 1
    # Fields that the kernel does not know must be left out. No port may be listened on, and
    # nobody outside be signalled or reached by an abstract address.
    fields = [rights, *([_BIND_TCP] if known >= 4 else []), *([3] if known >= 6 else [])]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules: int = libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    try:
        for path in paths:
            _add(libc, rules, path)
        for path in listing:
            _add(libc, rules, path, rights=_READ_DIR)
        return int(libc.syscall(_RESTRICT, rules, 0)) == 0
    finally:
        os.close(rules)


def _add(libc: ctypes.CDLL, rules: int, path: str, *, rights: int = 0) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not rights:
            rights = _READ_FILE | (_READ_DIR | _EXECUTE if os.path.isdir(path) else 0)
            rights |= _WRITE_FILE if path == os.devnull else 0
        libc.syscall(_ADD, rules, _BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)
