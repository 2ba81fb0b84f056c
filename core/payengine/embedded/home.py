"""Where is the data folder, is it ours, and what in it is ours to delete?

As root the folder is 0711 and stays root's: what root writes lies in folders that only root can
change, and the servers' user owns the leaves it needs (data, sockets, its log folder).
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import shutil
import socket
import tempfile
from pathlib import Path

from payengine.embedded.account import Account, barrier
from payengine.errors import EnvironmentProblem

__all__ = ["LEAST_FREE_BYTES", "MARKER", "Home", "check_space"]

MARKER = ".payengine-home"
LEAST_FREE_BYTES = 200 * 1024 * 1024

_MARKER_TEXT = "This folder belongs to payengine. `payengine reset` deletes what it made here.\n"
#: What the engine writes into its folder, as patterns. Anything else in it is somebody's own.
_OURS = (
    "postgres",
    "valkey",
    "valkey.broken",
    "sockets",
    "sockets-at",
    "logs",
    "pids",
    "programs",
    "passwords.json*",
    "members",
    "master.key*",
    "sandbox*",
    "*.sqlite3*",  # the books that plugins keep
    "demo*",
)
_LOCK = "lock"
#: The kernel's bound is 108 bytes on Linux and 104 on macOS, the closing zero included.
_LONGEST_SOCKET_PATH = 100
_LONGEST_SOCKET_NAME = ".s.PGSQL.5432"


class Home:
    """The data folder's places."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.marker = self.root / MARKER
        self.lock = self.root / _LOCK
        self.members = self.root / "members"
        self.passwords = self.root / "passwords.json"
        self.programs = self.root / "programs"
        self.logs = self.root / "logs"
        self.postgres = self.root / "postgres"
        self.valkey = self.root / "valkey"
        self.pids = self.root / "pids"
        self._sockets_at = self.root / "sockets-at"

    def exists(self) -> bool:
        """Whether the folder is there and carries our marker."""
        return self.marker.is_file()

    def claim(self) -> None:
        """Make the folder, or make sure that it is ours. Changes no other folder.

        Raises EnvironmentProblem where it cannot be written or holds somebody's files.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.marker.exists():
                self._refuse_strangers_folder()
                self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
                self.marker.write_text(_MARKER_TEXT)
        except OSError as error:
            what = "is not a folder" if self.root.is_file() else f"cannot be used ({error})"
            raise EnvironmentProblem(
                f"The data folder {self.root} {what}. Choose a folder that you may write to "
                "with PAYENGINE_HOME."
            ) from error

    def _refuse_strangers_folder(self) -> None:
        foreign = self.foreign_names()
        if foreign and not self.marker.exists():
            raise EnvironmentProblem(
                f"The folder {self.root} is not empty and was not made by payengine (it holds "
                f"{foreign[0]}). Choose a new or empty folder with PAYENGINE_HOME."
            )

    def require_way(self, account: Account) -> None:
        """Raise EnvironmentProblem naming the parent that keeps the servers' user from here."""
        parent = self.root.parent
        while not parent.exists():
            parent = parent.parent
        closed = barrier(parent, account)
        if closed is not None:
            raise EnvironmentProblem(
                f"Started by root, the database runs as the user {account.name}, who may not "
                f"enter {closed}, so {self.root} is out of its reach. Set PAYENGINE_HOME to a "
                "folder that everybody may pass through, such as /var/lib/payengine, or start "
                "payengine as another user than root."
            )

    def open_to(self, account: Account) -> None:
        """Let the servers' user pass through this folder; its parents stay as they are."""
        self.require_way(account)
        if account.is_other and self.root.stat().st_mode & 0o7777 != 0o711:
            self.root.chmod(0o711)

    def leaf(self, path: Path, account: Account) -> Path:
        """A folder that only the servers' user may enter."""
        if not path.exists():
            path.mkdir(mode=0o700)
            account.own(path)
        return path

    def branch(self, path: Path) -> Path:
        """A folder that stays ours and lets the servers' user pass."""
        path.mkdir(mode=0o711, exist_ok=True)
        if path.stat().st_mode & 0o111 != 0o111:  # a strict umask
            path.chmod(0o711)
        return path

    def sockets(self, account: Account) -> Path:
        """The folder of the servers' sockets: in here if its path will do, else private."""
        inside = self.root / "sockets"
        recorded = self._recorded_sockets(account)
        if recorded is not None:
            return recorded
        is_short = len(os.fsencode(inside / _LONGEST_SOCKET_NAME)) <= _LONGEST_SOCKET_PATH
        is_one_host = "," not in str(inside)  # clients take a comma for a list of servers
        if is_short and is_one_host and (inside.exists() or _takes_sockets(self.root)):
            return self.leaf(inside, account)
        outside = self._sockets_outside(account)
        self._sockets_at.write_text(f"{self.root}\n{outside}\n")
        return outside

    def _recorded_sockets(self, account: Account) -> Path | None:
        try:
            owner, place = self._sockets_at.read_text().splitlines()
            status = Path(place).lstat()
        except (OSError, ValueError):
            return None
        # A copied data folder must not share the original's sockets, and whatever took the
        # place of a folder that was cleaned away is not ours.
        is_ours = owner == str(self.root) and status.st_uid == account.uid
        return Path(place) if is_ours and status.st_mode & 0o7777 == 0o700 else None

    def _sockets_outside(self, account: Account) -> Path:
        for base in dict.fromkeys((tempfile.gettempdir(), "/tmp")):  # noqa: S108
            if len(os.fsencode(base)) > 60 or barrier(Path(base), account) is not None:
                continue
            try:
                folder = Path(tempfile.mkdtemp(prefix="payengine-", dir=base))
            except OSError:
                continue
            account.own(folder)
            return folder
        raise EnvironmentProblem(
            f"The path {self.root} is too long for a Unix socket, and no temporary folder can "
            "take one. Choose a shorter path with PAYENGINE_HOME."
        )

    def drop_outside_sockets(self, account: Account) -> None:
        """After the servers' end: remove the private socket folder, if there is one."""
        recorded = self._recorded_sockets(account)
        self._sockets_at.unlink(missing_ok=True)
        if recorded is not None:
            shutil.rmtree(recorded, ignore_errors=True)

    def foreign_names(self) -> list[str]:
        """Names in the folder that the engine does not make."""
        known = (*_OURS, MARKER, _LOCK)
        return sorted(
            name
            for name in os.listdir(self.root)
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in known)
        )

    def erase(self) -> list[str]:
        """Delete what the engine made, and the folder if nothing is left. Call under `lock`.

        Returns the names that stay because they are not ours.
        """
        for name in os.listdir(self.root):
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in _OURS):
                _delete(self.root / name)
        foreign = self.foreign_names()
        if not foreign:
            self.marker.unlink(missing_ok=True)
            self.lock.unlink(missing_ok=True)
            # A mount point, or a parent that we may not change, keeps an empty folder.
            with contextlib.suppress(OSError):
                self.root.rmdir()
        return foreign


def check_space(folder: Path, *, least_bytes: int = LEAST_FREE_BYTES) -> None:
    """Raise EnvironmentProblem where the disk under `folder` has less than `least_bytes` free."""
    free = shutil.disk_usage(folder).free
    if free < least_bytes:
        raise EnvironmentProblem(
            f"Only {free // 1024**2} MB are free on the disk of {folder}; the database needs at "
            f"least {least_bytes // 1024**2} MB. Free some space, or choose a folder on another "
            "disk with PAYENGINE_HOME."
        )


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _takes_sockets(folder: Path) -> bool:
    """Whether the file system has Unix sockets: some shared folders and FAT have none."""
    path = folder / f"sockets-at.{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
    except OSError:
        return False
    finally:
        path.unlink(missing_ok=True)
    return True
