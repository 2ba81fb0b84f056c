"""By which names does the past know people and things?

Cards, devices, addresses of people and of machines are kept as keyed hashes: the key is the
tenant's own, so that a name means nothing to anybody else and no two tenants' names are alike. It
rests sealed; erasing it makes the past nameless.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import secrets
import uuid
from collections import OrderedDict

from payengine.clock import wall_now
from payengine.storage import Database
from payengine.vault import Vault

__all__ = ["NOBODY", "PERSONAL", "Namer", "Tokens"]

#: What is kept as a hash; customers and sellers have opaque ids, and the rest is nobody's own.
PERSONAL = frozenset({"card", "device", "email", "ip"})

_KEPT = 10_000
_KEY_BYTES = 32
_NAME_BYTES = 16
#: The networks around an address that lists are asked for, by its version.
_NETWORKS = {4: (32, 24, 16, 8), 6: (128, 64, 56, 48, 32)}

_READ = "SELECT sealed FROM fraud_key WHERE tenant_id = $1"
_MAKE = """
    INSERT INTO fraud_key (tenant_id, sealed, created_at) VALUES ($1, $2, $3)
    ON CONFLICT (tenant_id) DO NOTHING
"""


class Namer:
    """Makes the names of one tenant."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def name(self, kind: str, plain: str) -> str:
        """How the past knows `plain`: the same for every spelling of an address."""
        if kind == "email":
            plain = plain.strip().lower()
        elif kind == "ip":
            if "/" in plain:
                plain = str(ipaddress.ip_network(plain, strict=False))
            else:
                address = ipaddress.ip_address(plain)
                plain = f"{address}/{address.max_prefixlen}"
        return self._hashed(kind, plain) if kind in PERSONAL else plain

    def networks(self, ip: str) -> list[str]:
        """The names of the address and of the networks around it, for lists."""
        address = ipaddress.ip_address(ip)
        whole, wide = int(address), address.max_prefixlen
        make = ipaddress.IPv4Address if address.version == 4 else ipaddress.IPv6Address
        return [
            self._hashed("ip", f"{make(whole >> (wide - bits) << (wide - bits))}/{bits}")
            for bits in _NETWORKS[address.version]
        ]

    def _hashed(self, kind: str, plain: str) -> str:
        return hashlib.blake2b(
            plain.encode(), digest_size=_NAME_BYTES, key=self._key, person=kind.encode()
        ).hexdigest()


#: For where nobody is named; its names would be nobody's.
NOBODY = Namer(b"")


class Tokens:
    """The tenants' keys, opened once per process."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._kept: OrderedDict[uuid.UUID, Namer] = OrderedDict()

    async def of(self, tenant_id: uuid.UUID) -> Namer:
        """What makes the tenant's names; its key is made by the first call for it.

        Raises `VaultSealed`, `DatabaseUnavailable`.
        """
        kept = self._kept.get(tenant_id)
        if kept is not None:
            return kept
        async with self._database.tenant(tenant_id) as session:
            sealed = await session.fetchval(_READ, tenant_id)
            if sealed is None:
                made = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
                sealed = await self._vault.seal(session, tenant_id, made, **_PLACE)
                await session.execute(_MAKE, tenant_id, sealed, wall_now())
                # Another process may have been quicker, and its key stands.
                sealed = await session.fetchval(_READ, tenant_id)
            opened = await self._vault.open(session, tenant_id, sealed, **_PLACE)
        namer = self._kept[tenant_id] = Namer(base64.b64decode(opened))
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return namer


_PLACE = {"table": "fraud_key", "row": "key", "column": "sealed"}
