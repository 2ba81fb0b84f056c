"""How is a secret sealed, and where may it be opened?

A sealed text is: one byte of format, four bytes of the data key's version, a random nonce of 12
bytes, then AES-256-GCM's output (NIST SP 800-38D). Its additional data name the tenant, table, row
and column, so that it opens in its own cell only.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from payengine.errors import VaultSealed
from payengine.vault.master import MasterKey

if TYPE_CHECKING:
    from payengine.settings import Settings
    from payengine.storage import Session

__all__ = ["Vault"]

_FORMAT = 1
_NONCE_BYTES = 12
_HEADER_BYTES = 1 + 4 + _NONCE_BYTES
_TAG_BYTES = 16
_KEPT_KEYS = 2048
_KEPT_SECONDS = 60.0

#: A key is settled once the transaction that made it has ended for every reader: until then it
#: may be rolled back, and must not be remembered. The subtraction is modulo 2^32, as xids wrap.
_SETTLED = (
    "((pg_snapshot_xmin(pg_current_snapshot())::text::bigint - xmin::text::bigint) & 4294967295)"
    " BETWEEN 1 AND 2147483647 AS settled"
)
_READ_NEWEST = (
    f"SELECT version, wrapped, {_SETTLED} FROM data_key WHERE tenant_id = $1"
    " ORDER BY version DESC LIMIT 1"
)
_READ_VERSION = (
    f"SELECT version, wrapped, {_SETTLED} FROM data_key WHERE tenant_id = $1 AND version = $2"
)
_INSERT_KEY = (
    "INSERT INTO data_key (tenant_id, version, wrapped, created_at) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (tenant_id, version) DO NOTHING"
)
_READ_CHECK = "SELECT master_key_check FROM installation WHERE id = 1"
_NAME_MASTER = (
    "UPDATE installation SET master_key_check = $1 WHERE id = 1 AND master_key_check IS NULL"
)


class _DataKey(NamedTuple):
    version: int
    cipher: AESGCM
    opened_at: float


class Vault:
    """Seals and opens texts. Holds opened data keys for at most a minute; safe to share."""

    def __init__(self, master: MasterKey) -> None:
        self._master = master
        #: (tenant, version) → opened key; version 0 stands for the newest.
        self._kept: OrderedDict[tuple[uuid.UUID, int], _DataKey] = OrderedDict()

    @classmethod
    def from_settings(cls, settings: Settings) -> Vault:
        """The vault of this installation. Reads and writes nothing until it is used."""
        return cls(MasterKey(settings.master_key_path, may_create=settings.master_key_file is None))

    async def seal(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        plaintext: str,
        *,
        table: str,
        row: str,
        column: str,
    ) -> bytes:
        """Seal `plaintext` for one cell. The first secret of a tenant makes its data key.

        Raises `VaultSealed` where the master key is missing or is another one.
        """
        key = self._recall(tenant_id, 0) or await self._newest(session, tenant_id)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        place = _place(tenant_id, table, row, column)
        body = key.cipher.encrypt(nonce, plaintext.encode(), place)
        return bytes((_FORMAT,)) + key.version.to_bytes(4, "big") + nonce + body

    async def open(
        self,
        session: Session,
        tenant_id: uuid.UUID,
        sealed: bytes,
        *,
        table: str,
        row: str,
        column: str,
    ) -> str:
        """Open what was sealed for this very cell.

        Raises `VaultSealed` where it was changed, belongs to another cell or tenant, or where the
        master key is missing or is another one.
        """
        if len(sealed) < _HEADER_BYTES + _TAG_BYTES or sealed[0] != _FORMAT:
            raise VaultSealed("This is not a sealed secret.")
        version = int.from_bytes(sealed[1:5], "big")
        key = self._recall(tenant_id, version) or await self._versioned(session, tenant_id, version)
        nonce, body = sealed[5:_HEADER_BYTES], sealed[_HEADER_BYTES:]
        try:
            return key.cipher.decrypt(nonce, body, _place(tenant_id, table, row, column)).decode()
        except InvalidTag:
            raise VaultSealed(
                "This secret cannot be opened: it was changed, or was sealed for another place."
            ) from None

    async def rotate(self, session: Session, tenant_id: uuid.UUID) -> int:
        """Make a new data key, used for what is sealed from now on; older ones still open.

        Returns its version. Other processes follow within a minute.
        """
        newest = await self._newest(session, tenant_id)
        await self._insert(session, tenant_id, newest.version + 1)
        self._kept.pop((tenant_id, 0), None)
        return (await self._newest(session, tenant_id)).version

    async def _newest(self, session: Session, tenant_id: uuid.UUID) -> _DataKey:
        row = await session.fetchrow(_READ_NEWEST, tenant_id)
        if row is None:
            await self._check_master(session)
            # A concurrent first use waits here for the other's commit, then reads its key.
            await self._insert(session, tenant_id, 1)
            row = await session.fetchrow(_READ_NEWEST, tenant_id)
        if row is None:
            raise VaultSealed("The tenant's data key was not found in its own scope.")
        key = self._unwrap(tenant_id, row["version"], row["wrapped"])
        if row["settled"]:
            self._keep(tenant_id, 0, key)
            self._keep(tenant_id, key.version, key)
        return key

    async def _versioned(self, session: Session, tenant_id: uuid.UUID, version: int) -> _DataKey:
        row = await session.fetchrow(_READ_VERSION, tenant_id, version) if version < 2**31 else None
        if row is None:
            raise VaultSealed("This secret cannot be opened: the tenant has no such data key.")
        key = self._unwrap(tenant_id, version, row["wrapped"])
        if row["settled"]:
            self._keep(tenant_id, version, key)
        return key

    async def _check_master(self, session: Session) -> None:
        """Before a data key is made: is this the master key that all others are wrapped with?"""
        named = await session.fetchval(_READ_CHECK)
        if named is None:
            self._master.make()
            await session.execute(_NAME_MASTER, self._master.check())
            named = await session.fetchval(_READ_CHECK)
        if named != self._master.check():
            raise self._wrong_master()

    async def _insert(self, session: Session, tenant_id: uuid.UUID, version: int) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + AESGCM(self._master.read()).encrypt(
            nonce, secrets.token_bytes(32), _key_place(tenant_id, version)
        )
        await session.execute(_INSERT_KEY, tenant_id, version, wrapped, datetime.now(UTC))

    def _unwrap(self, tenant_id: uuid.UUID, version: int, wrapped: bytes) -> _DataKey:
        nonce, body = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            plain = AESGCM(self._master.read()).decrypt(nonce, body, _key_place(tenant_id, version))
        except InvalidTag:
            raise self._wrong_master() from None
        return _DataKey(version, AESGCM(plain), time.monotonic())

    def _wrong_master(self) -> VaultSealed:
        return VaultSealed(
            f"{self._master.path} is not the master key that this database was sealed with. Put "
            "the first one back, or name it in PAYENGINE_MASTER_KEY_FILE."
        )

    def _recall(self, tenant_id: uuid.UUID, version: int) -> _DataKey | None:
        key = self._kept.get((tenant_id, version))
        if key is not None and time.monotonic() - key.opened_at > _KEPT_SECONDS:
            del self._kept[tenant_id, version]
            return None
        return key

    def _keep(self, tenant_id: uuid.UUID, version: int, key: _DataKey) -> None:
        self._kept[tenant_id, version] = key
        self._kept.move_to_end((tenant_id, version))
        while len(self._kept) > _KEPT_KEYS:
            self._kept.popitem(last=False)


def _place(tenant_id: uuid.UUID, table: str, row: str, column: str) -> bytes:
    """The additional data; each part carries its length, so that no two places read alike."""
    parts = [part.encode() for part in (table, row, column)]
    return tenant_id.bytes + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _key_place(tenant_id: uuid.UUID, version: int) -> bytes:
    return b"data_key" + tenant_id.bytes + version.to_bytes(4, "big")
