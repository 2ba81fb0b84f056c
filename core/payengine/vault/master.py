"""Which key wraps all others, and is it still the one that this database was sealed with?

The file holds 32 random bytes in base64. It is written once, so that a crash or a race between two
processes leaves one complete key; a file that the operator named is never written.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from payengine.errors import VaultSealed

__all__ = ["MasterKey"]

_KEY_BYTES = 32
_LARGEST_FILE_BYTES = 1024


class MasterKey:
    """The master key's file, read when it is first needed."""

    __slots__ = ("_key", "_may_create", "path")

    def __init__(self, path: Path, *, may_create: bool) -> None:
        """`may_create` allows `make` to write the file where there is none."""
        self.path = path
        self._may_create = may_create
        self._key: bytes | None = None

    def __repr__(self) -> str:
        return f"MasterKey({str(self.path)!r})"

    def read(self) -> bytes:
        """The key; raises `VaultSealed` where the file is missing or holds something else."""
        if self._key is None:
            self._key = self._load()
        if self._key is None:
            raise VaultSealed(
                f"The master key {self.path} is missing, and what this database keeps sealed "
                "cannot be opened without it. Put the file back, or name it in "
                "PAYENGINE_MASTER_KEY_FILE."
            )
        return self._key

    def make(self) -> bytes:
        """The key; writes a new one where there is none. Call only where nothing is sealed yet."""
        if self._key is None:
            self._key = self._load()
        if self._key is None and not self._may_create:
            raise VaultSealed(
                f"PAYENGINE_MASTER_KEY_FILE names {self.path}, which does not exist. Make it "
                "with `openssl rand -base64 32` and keep a copy, or unset the variable."
            )
        if self._key is None:
            self._write()
        return self.read()

    def check(self) -> str:
        """A name of the key that tells nothing about it: to notice that it is another one."""
        return hmac.new(self.read(), b"payengine master key", hashlib.sha256).hexdigest()[:32]

    def _load(self) -> bytes | None:
        try:
            with self.path.open("rb") as file:
                text = file.read(_LARGEST_FILE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VaultSealed(
                f"The master key {self.path} cannot be read: {error.strerror}."
            ) from None
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _KEY_BYTES:
            raise VaultSealed(
                f"The file {self.path} is no master key: it must hold 32 bytes in base64."
            )
        return key

    def _write(self) -> None:
        folder = self.path.parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkstemp's file is 0600; linking it is atomic and leaves another process' key alone.
            handle, name = tempfile.mkstemp(prefix="master.key.", dir=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                with contextlib.suppress(FileExistsError):
                    os.link(name, self.path)
            finally:
                os.unlink(name)
            _settle(folder)
        except OSError as error:
            raise VaultSealed(
                f"The master key {self.path} cannot be written: {error.strerror}."
            ) from None


def _settle(folder: Path) -> None:
    """Make the new name survive a power cut: with the key, every secret would be lost."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
