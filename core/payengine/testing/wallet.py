"""Which promises does every wallet make?

Inherit `WalletContract` in a class whose name starts with `Test`, and give `case`. Plain methods
with event loops of their own, like the gateways' contract.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from payengine.plugin import (
    Call,
    NetworkToken,
    OpenedToken,
    OpenToken,
    PluginSettings,
    Wallet,
    WalletRefused,
    parse_settings,
    to_plain,
)
from payengine.testing.case import refuse, require

__all__ = ["WalletCase", "WalletContract"]

_CHANGES = 200
_GARBAGE = ("", "{}", "[]", "null", "0", '"x"', "{", "\U0001f600", "[" * 2_000, "A" * 70_000)
_STALE = timedelta(days=2)


@dataclass(frozen=True, kw_only=True)
class WalletCase:
    """A wallet and what makes genuine tokens for it.

    `make_token` makes one that was signed at the instant, for the merchant of `settings`.
    """

    wallet: Wallet
    settings: PluginSettings
    make_token: Callable[[datetime], str]
    at: datetime

    def call(self) -> Call:
        """The frame of each request."""
        return Call(account="acct_contract", settings=self.settings, deadline_ms=2_000)

    def open(self, token: str, *, at: datetime | None = None) -> Awaitable[OpenedToken]:
        """The wallet's answer."""
        return self.wallet.open_token(self.call(), OpenToken(token=token, at=at or self.at))


class WalletContract:
    """The tests that a wallet inherits."""

    def case(self) -> WalletCase:
        """The wallet under test; made anew for each test."""
        raise NotImplementedError

    def test_describe_is_constant(self) -> None:
        """describe() says the same each time, and its settings survive a round trip."""
        case = self.case()
        manifest = case.wallet.describe()
        require(manifest == case.wallet.describe(), "describe() changes its mind")
        read = parse_settings(manifest.settings, to_plain(case.settings))
        require(read == case.settings, "the settings do not survive being saved and read")

    def test_genuine_token_opens(self) -> None:
        """A genuine, fresh token yields a network token and a name that is its own for ever."""
        case = self.case()
        token = case.make_token(case.at)
        first, again = _opened(case, token), _opened(case, token)
        other = _opened(case, case.make_token(case.at))
        require(type(first.network_token) is NetworkToken, "network_token is no NetworkToken")
        require(0 < len(first.token_id) <= 255, "token_id is not 1 to 255 characters")
        require(first.token_id == again.token_id, "the same token has two names")
        require(first.token_id != other.token_id, "two tokens have one name")

    def test_changed_token_is_refused(self) -> None:
        """A token that was changed in any place is refused, and its refusal repeats nothing."""
        case = self.case()
        token = case.make_token(case.at)
        number = _opened(case, token).network_token.number
        genuine = _spelled(_opened(case, token))
        for changed in _changed(token):
            try:
                opened = _told(case.open(changed))
            except WalletRefused as refusal:
                require(number not in str(refusal), "the refusal repeats the number")
            except Exception as fault:
                refuse(f"a changed token raised {type(fault).__name__}, not WalletRefused")
            else:
                # White space between what is signed may mean nothing.
                require(_spelled(opened) == genuine, "a changed token opens as another one")

    def test_garbage_is_refused(self) -> None:
        """Whatever the token is, the answer is `WalletRefused` and no other error."""
        case = self.case()
        for token in _GARBAGE:
            try:
                _told(case.open(token))
            except WalletRefused:
                continue
            except Exception as fault:
                refuse(f"garbage raised {type(fault).__name__}, not WalletRefused")
            refuse("garbage was opened")

    def test_old_and_early_tokens_are_refused(self) -> None:
        """A token of two days ago is a replay, one of the day after tomorrow a forgery."""
        case = self.case()
        token = case.make_token(case.at)
        for at in (case.at + _STALE, case.at - _STALE):
            try:
                _told(case.open(token, at=at))
            except WalletRefused:
                continue
            refuse("a token was opened two days away from its time")

    def test_without_the_merchants_settings_nothing_opens(self) -> None:
        """Settings that name no merchant and hold no key open nothing."""
        case = self.case()
        token = case.make_token(case.at)
        try:
            empty = parse_settings(case.wallet.describe().settings, {})
        except Exception:
            return  # there is nothing that could be called without settings
        call = msgspec.structs.replace(case.call(), settings=empty)
        try:
            _told(case.wallet.open_token(call, OpenToken(token=token, at=case.at)))
        except WalletRefused:
            return
        refuse("a token was opened without the merchant's settings")


def _told(answer: Awaitable[OpenedToken]) -> OpenedToken:
    """The answer, in a loop of its own; the current event loop stays as it is."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_awaited(answer))
    finally:
        loop.close()


async def _awaited(answer: Awaitable[OpenedToken]) -> OpenedToken:
    return await answer


def _opened(case: WalletCase, token: str) -> OpenedToken:
    return _told(case.open(token))


def _spelled(opened: OpenedToken) -> tuple[str, str]:
    return opened.network_token.number, opened.network_token.cryptogram


def _changed(token: str) -> Iterator[str]:
    """The token with one character replaced, at seeded places."""
    chosen = random.Random(len(token))  # noqa: S311 - the same places each time, no secret
    for _ in range(_CHANGES):
        place = chosen.randrange(len(token))
        other = chosen.choice([one for one in 'A0z"{,' if one != token[place]])
        yield token[:place] + other + token[place + 1 :]
