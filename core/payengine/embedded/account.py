"""As which user of this machine do the servers run?

PostgreSQL refuses to run as root, and it is right. When the engine is started by root the servers
run as an unprivileged user instead, and everything they touch has to be within that user's reach.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any, NamedTuple

from payengine.errors import EnvironmentProblem

__all__ = ["Account", "barrier", "choose_account"]

#: Tried in this order. `postgres` exists where a distribution's server is installed.
_CANDIDATES = ("postgres", "nobody")


class Account(NamedTuple):
    """The user that owns the servers' files and runs their processes."""

    name: str
    uid: int
    gid: int
    #: True when we are root and the servers run as somebody else.
    is_other: bool

    def popen_arguments(self) -> dict[str, Any]:
        """Arguments for subprocess that drop root, leave the terminal and our folder behind."""
        arguments: dict[str, Any] = {"cwd": "/", "start_new_session": True, "close_fds": True}
        if self.is_other:
            arguments.update(user=self.uid, group=self.gid, extra_groups=[])
        return arguments

    def own(self, path: Path) -> None:
        """Give a file or folder that we just made to this user."""
        if self.is_other:
            os.chown(path, self.uid, self.gid)


def choose_account(*, existing: Path) -> Account:
    """Ourselves, or where we are root the owner of `existing`, else an unprivileged user.

    `existing` is a folder of servers made before: its owner must stay the same. Raises
    EnvironmentProblem where there is no such user or no embedded server for this platform.
    """
    if sys.platform == "win32":
        raise EnvironmentProblem(
            "The embedded PostgreSQL and Valkey need Linux or macOS. Set PAYENGINE_DATABASE_URL "
            "(and PAYENGINE_REDIS_URL) to servers of your own."
        )
    import pwd

    owner = existing.stat().st_uid if existing.exists() else None
    uid = os.geteuid()
    if uid != 0:
        return Account(name=_name_of(uid), uid=uid, gid=os.getegid(), is_other=False)
    if owner:
        try:
            record = pwd.getpwuid(owner)
        except KeyError:
            raise EnvironmentProblem(
                f"{existing} belongs to the user number {owner}, who does not exist on this "
                "machine. Add that user, or choose another folder with PAYENGINE_HOME."
            ) from None
        return Account(record.pw_name, record.pw_uid, record.pw_gid, is_other=True)
    for name in _CANDIDATES:
        try:
            record = pwd.getpwnam(name)
        except KeyError:
            continue
        if record.pw_uid != 0:
            return Account(record.pw_name, record.pw_uid, record.pw_gid, is_other=True)
    raise EnvironmentProblem(
        "PostgreSQL must not run as root, and this machine has neither a user `postgres` nor "
        "`nobody` to run it as. Add one (useradd --system postgres), or start payengine as "
        "another user than root."
    )


def barrier(path: Path, account: Account) -> Path | None:
    """The first folder on the way to `path` (itself included) that the account cannot enter.

    Mode bits only: where access lists say otherwise, the server's own start tells.
    """
    if not account.is_other:
        return None
    path = path.resolve()
    for folder in [*reversed(path.parents), path]:
        try:
            status = folder.stat()
        except OSError:
            return folder
        if stat.S_ISDIR(status.st_mode) and not _may_enter(status, account):
            return folder
    return None


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _name_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"number {uid}"
