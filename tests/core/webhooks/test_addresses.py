"""No URL of a tenant's reaches this machine, a private network, or a cloud's metadata."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Sequence
from typing import get_args

import pytest
from payengine.context import Mode
from payengine.errors import WebhookUrlRefused
from payengine.webhooks import Addresses, Resolver
from payengine.webhooks.networks import why_refused

_TENANT = uuid.uuid4()

#: What names lead to in these tests; any other name is unknown.
_NAMES: dict[str, list[str]] = {
    "good.example.com": ["93.184.216.34", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "six.example.com": ["2606:2800:21f:cb07:6820:80da:af6b:8b2c"],
    "loopback.example.com": ["127.0.0.1"],
    "private.example.com": ["10.1.2.3"],
    "mixed.example.com": ["93.184.216.34", "192.168.0.1"],
    "metadata.example.com": ["169.254.169.254"],
    "mapped.example.com": ["::ffff:10.0.0.1"],
    "scoped.example.com": ["fe80::1%eth0"],
    "127.0.0.1.nip.example": ["127.0.0.1"],
    "odd.example.com": ["not an address"],
}


def _ask(host: str) -> Sequence[str]:
    if host not in _NAMES:
        raise OSError("no such name")
    return _NAMES[host]


def _addresses(*, allow_private: bool = False, is_development: bool = False) -> Addresses:
    return Addresses(
        allow_private=allow_private, is_development=is_development, resolver=Resolver(_ask)
    )


_HOSTILE = [
    # this machine
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/",
    "https://127.1.2.3/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://foo.localhost/",
    "https://localhost.localdomain/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://0.0.0.0/",
    "https://0/",
    "https://[::]/",
    # addresses in disguise
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.1./",
    "https://127.0.0.01/",
    "https://00127.0.0.1/",
    "https://[127.0.0.1]/",
    "https://１２７.０.０.１/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1%00.example.com/",
    # private and special networks
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.1.1/",
    "https://192.0.0.1/",
    "https://198.18.0.1/",
    "https://203.0.113.9/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    # clouds
    "https://169.254.169.254/latest/meta-data/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://metadata.google.internal/",
    "https://[fd00:ec2::254]/",
    # IPv6 that carries or is something else
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::8.8.8.8]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a00:1::1]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fc00::1]/",
    "https://[fd12:3456::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[2001:db8::1]/",
    "https://[100::1]/",
    "https://[::1",
    "https://::1/",
    # names that lead there
    "https://loopback.example.com/",
    "https://private.example.com/",
    "https://mixed.example.com/",
    "https://metadata.example.com/",
    "https://mapped.example.com/",
    "https://scoped.example.com/",
    "https://127.0.0.1.nip.example/",
    "https://odd.example.com/",
    "https://redis/",
    "https://db.internal/",
    "https://printer.local/",
    "https://router.lan/",
    "https://router.home.arpa/",
    # forms that libraries read in two ways
    "https://user@good.example.com/",
    "https://user:secret@good.example.com/",
    "https://good.example.com@127.0.0.1/",
    "https://good.example.com#@127.0.0.1/",
    "https://good.example.com\\@127.0.0.1/",
    "https:\\\\127.0.0.1/",
    "https:///127.0.0.1/",
    "https:127.0.0.1",
    "//127.0.0.1/",
    "https://good.example.com:0/",
    "https://good.example.com:22/",
    "https://good.example.com:25/",
    "https://good.example.com:99999/",
    "https://good.example.com:443:443/",
    "https://good.example.com:/x y",
    "https://good.example.com/\r\nHost: 127.0.0.1",
    "https://good.example.com/\x00",
    "https://good.example.com\t/",
    "https://-bad-.example.com/",
    "https://a..example.com/",
    "https://good.example.com./",
    "https://" + "a" * 64 + ".example.com/",
    "https://good_name.example.com/",
    "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c%25lo]/",
    # other schemes
    "http://good.example.com/",
    "ftp://good.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
    "",
    "https://",
    "https://good.example.com/#fragment",
    "https://good.example.com/" + "a" * 2_000,
]


@pytest.mark.parametrize("url", _HOSTILE)
async def test_hostile_urls_are_refused(url: str) -> None:
    addresses = _addresses()
    for mode in get_args(Mode):
        with pytest.raises(WebhookUrlRefused) as refused:
            await addresses.check(_TENANT, mode, url)
        assert refused.value.path == ("url",)
        with pytest.raises(WebhookUrlRefused):
            await addresses.pin(_TENANT, mode, url)


@pytest.mark.parametrize(
    ("url", "pinned", "host"),
    [
        ("https://good.example.com/a?b=c", "https://93.184.216.34/a?b=c", "good.example.com"),
        ("https://GOOD.example.com", "https://93.184.216.34/", "good.example.com"),
        ("https://good.example.com?b=c", "https://93.184.216.34/?b=c", "good.example.com"),
        ("https://good.example.com:443/", "https://93.184.216.34/", "good.example.com"),
        ("https://good.example.com:8443/", "https://93.184.216.34:8443/", "good.example.com:8443"),
        (
            "https://six.example.com/x",
            "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/x",
            "six.example.com",
        ),
        ("https://8.8.8.8/x", "https://8.8.8.8/x", "8.8.8.8"),
        ("https://[2606:4700::1111]:9000/", "https://[2606:4700::1111]:9000/", None),
    ],
)
async def test_public_urls_are_pinned_to_what_was_checked(
    url: str, pinned: str, host: str | None
) -> None:
    target = await _addresses().pin(_TENANT, "live", url)
    assert target.pinned_url == pinned
    assert target.authority == (host or "[2606:4700::1111]:9000")


async def test_a_name_without_an_address_is_saved_and_not_sent_to() -> None:
    addresses = _addresses()
    target = await addresses.check(_TENANT, "live", "https://not-yet.example.com/hook")
    assert target.address is None
    with pytest.raises(OSError, match="no such name"):
        await addresses.pin(_TENANT, "live", "https://not-yet.example.com/hook")


@pytest.mark.parametrize(
    ("url", "mode", "is_development", "is_allowed"),
    [
        ("http://127.0.0.1:9/", "test", False, True),
        ("http://localhost:8000/", "test", False, False),  # unknown to these tests' resolver
        ("http://127.0.0.1:9/", "live", False, False),
        ("http://127.0.0.1:9/", "live", True, True),
        ("https://127.0.0.1/", "live", False, True),
        ("https://10.0.0.1:22/", "live", False, True),
        ("https://[::1]/", "live", False, True),
        ("https://private.example.com/", "live", False, True),
        ("https://169.254.169.254/", "test", True, False),
        ("https://169.254.1.1/", "test", True, False),
        ("https://metadata.example.com/", "test", True, False),
        ("https://0.0.0.0/", "test", True, False),
        ("https://[::ffff:127.0.0.1]/", "test", True, False),
        ("https://224.0.0.1/", "test", True, False),
        ("https://user@127.0.0.1/", "test", True, False),
        ("https://0x7f.1/", "test", True, False),
    ],
)
async def test_what_the_operators_setting_opens(
    url: str, mode: Mode, is_development: bool, is_allowed: bool
) -> None:
    addresses = _addresses(allow_private=True, is_development=is_development)
    if is_allowed:
        assert (await addresses.pin(_TENANT, mode, url)).address
    else:
        with pytest.raises((WebhookUrlRefused, OSError)):
            await addresses.pin(_TENANT, mode, url)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "172.32.0.1"])
def test_public_addresses_pass(address: str) -> None:
    assert why_refused(address) is None


async def test_a_name_server_that_never_answers_holds_a_few_places_of_its_tenant_only() -> None:
    silence = threading.Event()

    def ask(host: str) -> Sequence[str]:
        if host == "silent.example.com":
            silence.wait(20)
        return ["93.184.216.34"]

    resolver = Resolver(ask)
    waiting = [
        asyncio.create_task(resolver.resolve(_TENANT, "silent.example.com")) for _ in range(4)
    ]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="too many"):
        await resolver.resolve(_TENANT, "good.example.com")
    assert await resolver.resolve(uuid.uuid4(), "good.example.com") == ["93.184.216.34"]
    waiting[0].cancel()
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="too many"):
        await resolver.resolve(_TENANT, "good.example.com")  # its thread still waits
    silence.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    for _ in range(1_000):
        if not resolver._waiting:
            break
        await asyncio.sleep(0.01)
    assert await resolver.resolve(_TENANT, "good.example.com") == ["93.184.216.34"]
