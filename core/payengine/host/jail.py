"""What does a plugin host give up before it imports a stranger's code?

Its user where it was started by root, every file but code and certificates, other processes, the
starting of processes, and all but a bounded part of memory, files and threads. What an operating
system does not offer is left out, and the host says which parts hold.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import stat
import struct
import sys
from pathlib import Path

from payengine.host import landlock, seccomp
from payengine.host.limits import Jail

__all__ = ["NotShutIn", "shut_in"]

_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 4, 8, 38
_CAPABILITY_VERSION = 0x20080522
_DAC_READ_SEARCH = 1 << 2


class NotShutIn(Exception):
    """The process could not give up what it must."""


def shut_in(jail: Jail) -> str:
    """Give it all up. Returns the parts that hold, for people; raises `NotShutIn`.

    Started by root it becomes another user.
    """
    parts = []
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    _be_nice(jail.niceness)
    if libc is not None:
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if landlock.allow_reading(libc, jail.readable, listing=jail.listable):
            parts.append("files")
    if jail.user is not None:
        _become(jail.user, jail, libc if "files" in parts else None)
        parts.append("user")
    _limit(jail)
    parts.append("limits")
    if libc is not None:
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        if seccomp.deny(libc):
            parts.append("calls")
    return ", ".join(sorted(parts))


def _be_nice(niceness: int) -> None:
    with contextlib.suppress(OSError):
        os.nice(niceness)
    # Where sessions are scheduled as groups, niceness counts within the group only.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness))


def _become(user: int, jail: Jail, libc: ctypes.CDLL | None) -> None:
    """Be that user. Code that only root may read stays readable, where nothing else is."""
    closed = _closed(jail)
    if closed and libc is None:
        raise NotShutIn(
            f"only root may read {closed}, and this kernel has no Landlock: install the platform"
            " elsewhere, start it as another user than root, or trust the plugin"
        )
    if libc is not None and closed:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if libc is not None and closed:
        kept = (_DAC_READ_SEARCH, _DAC_READ_SEARCH, 0, 0, 0, 0)
        header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
        if libc.capset(header, struct.pack("=6I", *kept)) != 0:
            raise NotShutIn(f"only root may read {closed}, and that right cannot be kept")


def _closed(jail: Jail) -> str:
    """The first folder with code, or on the way to it, that others may not enter; "" for none."""
    for path in (*jail.readable, *jail.listable):
        for folder in (*reversed(Path(path).parents), Path(path)):
            with contextlib.suppress(OSError):
                mode = folder.stat().st_mode
                if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH:
                    return str(folder)
    return ""


def _limit(jail: Jail) -> None:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: jail.most_files,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_DATA: jail.data_bytes,
        resource.RLIMIT_AS: jail.space_bytes,
    }
    if jail.user is not None and hasattr(resource, "RLIMIT_NPROC"):
        # Counted over all of a user's processes, so only where the user is the host's own.
        wanted[resource.RLIMIT_NPROC] = jail.most_threads
    for kind, most in wanted.items():
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (bound, bound))
