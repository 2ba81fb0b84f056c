"""Is this certificate the one with which PayPal signs webhooks?

A webhook names the address of its certificate. Only an address of PayPal's API is ever asked, so
that nobody can make this machine fetch something else; the chain must lead to a root that is
trusted, at the time of the webhook, and name PayPal's signing host. What was fetched is kept for a
while, and so is that nothing was found.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from payengine.plugin import WebhookRefused

from payengine_paypal.settings import is_paypal_host

__all__ = ["Certificates", "check_address", "signing_key"]

_PATH = re.compile(r"/v1/notifications/certs/[A-Za-z0-9_-]{1,128}")
_PEM = re.compile("-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_LONGEST_URL = 500
_LARGEST_PEM = 64 * 1024
_MOST_IN_CHAIN = 6
#: Whom the certificate must name.
_SIGNERS = ("messageverificationcerts.paypal.com", "messageverificationcerts.sandbox.paypal.com")
_KEPT_S = 6 * 3_600.0
_MISSED_S = 30.0
_MOST_KEPT = 64
#: For one account so many addresses are asked in a minute: no forger makes a flood through us,
#: and none keeps another account's certificates from being fetched.
_FETCHES_A_MINUTE = 20
_MOST_ACCOUNTS = 1_024
_LIVE = ("https://api-m.paypal.com", "https://api.paypal.com")

Fetch = Callable[[str], bytes]


def check_address(url: str, *, base: str) -> str:
    """The address, if it may be asked for a certificate; raises `WebhookRefused`.

    It is an address of PayPal's API over https, or of the API that the settings name.
    """
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable():
        raise WebhookRefused("The certificate's address cannot be read.")
    try:
        address, own = urlsplit(url), urlsplit(base)
        port = address.port
    except ValueError:
        raise WebhookRefused("The certificate's address cannot be read.") from None
    plain = "@" not in address.netloc and not address.query and not address.fragment
    if not plain or not _PATH.fullmatch(address.path):
        raise WebhookRefused("The certificate's address is not one of PayPal's.")
    is_own = (address.scheme, address.netloc) == (own.scheme, own.netloc)
    host = address.hostname or ""
    is_theirs = address.scheme == "https" and port in (None, 443) and is_paypal_host(host)
    if not (is_own or is_theirs):
        raise WebhookRefused("The certificate's address is not one of PayPal's.")
    return url


def signing_key(pem: bytes, roots: bytes, *, base: str, at: datetime) -> RSAPublicKey:
    """The leaf's key, after its chain was checked for the instant `at`.

    `roots` are the trusted certificates in PEM, empty for the world's. Behind PayPal's real API
    the sandbox's certificate is not believed. Raises `WebhookRefused`.
    """
    hour = int(at.timestamp()) // 3_600
    signers = _SIGNERS[:1] if base in _LIVE else _SIGNERS
    key, begins, ends = _checked(pem, roots, signers, hour)
    if not begins <= at <= ends:
        raise WebhookRefused("The certificate is not valid at this time.")
    return key


@functools.lru_cache(maxsize=64)
def _checked(
    pem: bytes, roots: bytes, signers: tuple[str, ...], hour: int
) -> tuple[RSAPublicKey, datetime, datetime]:
    """The key and when its chain is valid; checked once an hour."""
    try:
        chain = x509.load_pem_x509_certificates(pem)
        trusted = x509.load_pem_x509_certificates(roots) if roots else _world()
    except ValueError:
        raise WebhookRefused("The certificate cannot be read.") from None
    if not 0 < len(chain) <= _MOST_IN_CHAIN or not trusted:
        raise WebhookRefused("The certificate's chain has no usable length.")
    begins = max(one.not_valid_before_utc for one in chain)
    ends = min(one.not_valid_after_utc for one in chain)
    at = max(datetime.fromtimestamp(hour * 3_600, tz=UTC), begins)
    _check_chain(chain, trusted, signers, at=at)
    key = chain[0].public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < 2_048:
        raise WebhookRefused("The certificate holds no RSA key of 2048 bits or more.")
    return key, begins, ends


def _check_chain(
    chain: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    signers: tuple[str, ...],
    *,
    at: datetime,
) -> None:
    builder = PolicyBuilder().store(Store(list(trusted))).time(at.replace(tzinfo=None))
    for name in signers:
        try:
            builder.build_server_verifier(x509.DNSName(name)).verify(chain[0], list(chain[1:]))
        except VerificationError:
            continue
        except ValueError:
            break
        return
    raise WebhookRefused("The certificate's chain does not lead from PayPal to a trusted root.")


@functools.cache
def _world() -> list[x509.Certificate]:
    """The roots that the world trusts; one that cannot be read does not spoil the others."""
    import certifi

    with open(certifi.where(), encoding="ascii", errors="replace") as bundle:
        blocks = _PEM.findall(bundle.read())
    found = []
    for block in blocks:
        # A few old roots have serial numbers that today's rules do not allow.
        with warnings.catch_warnings(), contextlib.suppress(ValueError):
            warnings.simplefilter("ignore")
            found.append(x509.load_pem_x509_certificate(block.encode()))
    return found


class Certificates:
    """What was fetched, by address; the least used goes first. Safe for threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._fetched: OrderedDict[str, list[float]] = OrderedDict()

    def pem(self, url: str, fetch: Fetch, *, account: str) -> bytes:
        """The chain at `url`, which was checked before; raises `WebhookRefused`."""
        now = time.monotonic()
        with self._turn:
            kept = self._kept.get(url)
            if kept is not None and kept[0] > now:
                self._kept.move_to_end(url)
                return _present(kept[1])
            self._count(account, now)
        try:
            pem = fetch(url)
        except WebhookRefused:
            self._keep(url, b"", _MISSED_S)
            raise
        if len(pem) > _LARGEST_PEM:
            pem = b""
        self._keep(url, pem, _KEPT_S if pem else _MISSED_S)
        return _present(pem)

    def _count(self, account: str, now: float) -> None:
        recent = [at for at in self._fetched.pop(account, []) if now - at < 60]
        if len(recent) >= _FETCHES_A_MINUTE:
            self._fetched[account] = recent
            raise WebhookRefused("Too many certificates were asked for; try again later.")
        self._fetched[account] = [*recent, now]
        while len(self._fetched) > _MOST_ACCOUNTS:
            self._fetched.popitem(last=False)

    def _keep(self, url: str, pem: bytes, for_s: float) -> None:
        with self._turn:
            self._kept[url] = (time.monotonic() + for_s, pem)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)


def _present(pem: bytes) -> bytes:
    if not pem:
        raise WebhookRefused("The certificate could not be fetched.")
    return pem
