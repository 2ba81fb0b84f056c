"""How does a message reach the mail server, and which servers may it not reach?

A tenant names the server, so its name is resolved here and the address that was judged is the one
that is connected to: this machine and private networks are refused, unless the operator allows them
with `PAYENGINE_NOTIFY_SMTP_PRIVATE=1`.
"""

from __future__ import annotations

import ipaddress
import os
import smtplib
import socket
import ssl
from email.message import EmailMessage

__all__ = ["ServerRefused", "address_of", "send"]


class ServerRefused(Exception):
    """There is no such server, or it is none that tenants may name."""


class _Plain(smtplib.SMTP):
    """Connects to an address, and knows the server by its name."""

    address = ""
    _host = ""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((self.address, port), timeout)


class _Encrypted(smtplib.SMTP_SSL):
    """As `_Plain`, encrypted from the first byte."""

    address = ""
    tls: ssl.SSLContext
    _host = ""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((self.address, port), timeout)
        return self.tls.wrap_socket(plain, server_hostname=host)


def address_of(host: str, port: int) -> str:
    """The address to connect to; raises `ServerRefused`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        raise ServerRefused(f"There is no server named {host}.") from None
    addresses = [str(each[4][0]) for each in found]
    if os.environ.get("PAYENGINE_NOTIFY_SMTP_PRIVATE") != "1":
        addresses = [each for each in addresses if _is_public(each)]
    if not addresses:
        raise ServerRefused(f"{host} is on this machine or in a private network.")
    return addresses[0]


def send(
    message: EmailMessage,
    *,
    host: str,
    port: int,
    security: str,
    username: str,
    password: str,
    timeout_s: float,
) -> None:
    """Hand the message over; raises `ServerRefused`, OSError and smtplib's errors."""
    address = address_of(host, port)
    client: _Plain | _Encrypted
    if security == "tls":
        client = encrypted = _Encrypted(timeout=timeout_s)
        encrypted.tls = ssl.create_default_context()
        encrypted.address = address
    else:
        client = plain = _Plain(timeout=timeout_s)
        plain.address = address
    try:
        # The name is what a certificate is compared with.
        client._host = host
        client.connect(host, port)
        if security == "starttls":
            client.starttls(context=ssl.create_default_context())
        if username:
            client.login(username, password)
        client.send_message(message)
        client.quit()
    finally:
        client.close()


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_global and not address.is_multicast
