"""Does an account become what its vendor's onboarding says, and nothing else?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from payengine.errors import (
    Conflict,
    IdempotencyConflict,
    InputInvalid,
    NotFound,
    TransitionRefused,
)
from payengine.ids import new_id
from payengine.marketplace.connected_models import MoveConnectedAccount, UpdateConnectedAccount
from payengine.marketplace.meant import SplitInput
from payengine.plugin import (
    Call,
    CheckVendor,
    KycManifest,
    PluginSettings,
    VendorVerdict,
    hookimpl,
)

from tests.bazaar import Bazaar, rest
from tests.engines import Shop, Till, key, open_till
from tests.servers import HomeOfTest


@pytest.fixture
def bazaar(shop: Shop) -> Bazaar:
    """A fresh platform."""
    return Bazaar(shop)


async def _told(bazaar: Bazaar) -> list[str]:
    found = await bazaar.events()
    return sorted(kind for kind in found if kind.startswith("connected_account."))


async def test_a_person_verifies_what_was_submitted(bazaar: Bazaar) -> None:
    account = await bazaar.open()
    assert (account.status, account.charges_enabled, account.payouts_enabled) == (
        "created",
        False,
        False,
    )
    assert (await bazaar.move("submit", account)).status == "pending_verification"
    asked = await bazaar.decide(account, "needs_information", requirements=("a passport",))
    assert (asked.status, asked.requirements) == ("action_required", ("a passport",))
    assert (await bazaar.move("submit", account)).requirements == ()
    active = await bazaar.decide(account, "verified", reason="seen")
    assert (active.status, active.charges_enabled, active.payouts_enabled) == ("active", True, True)
    checks = (await bazaar.room.accounts.checks_of(bazaar.shop.context, [account.id]))[account.id]
    assert [(each.actor, each.verdict) for each in checks] == [
        ("Ada", "needs_information"),
        ("Ada", "verified"),
    ]
    assert await _told(bazaar) == [
        "connected_account.action_required",
        "connected_account.active",
        "connected_account.created",
        "connected_account.pending_verification",
    ]


async def test_a_suspended_account_goes_on_and_a_rejected_one_never(bazaar: Bazaar) -> None:
    account = await bazaar.vendor()
    assert (await bazaar.move("suspend", account)).status == "paused"
    assert (await bazaar.move("resume", account)).status == "active"
    assert (await bazaar.decide(account, "rejected")).status == "rejected"
    for step in ("submit", "suspend", "resume", "close"):
        with pytest.raises(TransitionRefused):
            await bazaar.move(step, account)


async def test_only_an_empty_account_is_closed(bazaar: Bazaar) -> None:
    account = await bazaar.vendor()
    paid = await bazaar.sell(500, rest(account))
    with pytest.raises(Conflict):
        await bazaar.move("close", account)
    await bazaar.refund(paid)
    assert (await bazaar.move("close", account)).status == "closed"
    with pytest.raises(TransitionRefused):
        await bazaar.room.accounts.update(
            bazaar.shop.context,
            UpdateConnectedAccount(idempotency_key=key(), account_id=account.id, country="FR"),
        )


async def test_an_account_is_not_closed_while_something_may_still_move_it(bazaar: Bazaar) -> None:
    account = await bazaar.vendor()
    split = SplitInput(shares=(rest(account),))
    held = (await bazaar.shop.pay(500, split=split, capture_method="MANUAL")).payment
    with pytest.raises(Conflict, match=held.id):
        await bazaar.move("close", account)  # it may still be captured
    await bazaar.shop.void(held.id)
    await bazaar.share()
    paid = (await bazaar.shop.pay(500, split=split)).payment
    with pytest.raises(Conflict, match=paid.id):
        await bazaar.move("close", account)  # its share has not been booked yet
    await bazaar.share()
    await bazaar.refund(paid)
    assert (await bazaar.move("close", account)).status == "closed"


async def test_refused_input_changes_nothing(bazaar: Bazaar) -> None:
    await bazaar.open(reference="taken")
    for given in (
        {"country": "Germany"},
        {"default_currency": "XXX"},
        {"delay_days": 366},
        {"reserve_bps": 10_001},
        {"reference": " "},
        {"metadata": {"card": "4242424242424242"}},
    ):
        with pytest.raises(InputInvalid):
            await bazaar.open(**given)
    with pytest.raises(Conflict):
        await bazaar.open(reference="taken")
    with pytest.raises(NotFound):
        await bazaar.room.accounts.submit(
            bazaar.shop.context,
            MoveConnectedAccount(idempotency_key=key(), account_id=new_id("acc")),
        )
    assert len(await bazaar.room.accounts.page(bazaar.shop.context, first=50)) == 1


async def test_a_key_does_it_once(bazaar: Bazaar) -> None:
    account = await bazaar.open(idempotency_key="one", reference="one")
    assert await bazaar.open(idempotency_key="one", reference="one") == account
    with pytest.raises(IdempotencyConflict):
        await bazaar.open(idempotency_key="one", reference="two")
    await asyncio.gather(*(bazaar.move("submit", account, idempotency_key="two") for _ in range(5)))
    assert (await bazaar.events())["connected_account.pending_verification"] == 1


async def test_terms_hold_for_sales_from_now_on(bazaar: Bazaar) -> None:
    account = await bazaar.vendor()
    await bazaar.sell(1_000, rest(account))
    await bazaar.room.accounts.update(
        bazaar.shop.context,
        UpdateConnectedAccount(
            idempotency_key=key(),
            account_id=account.id,
            delay_days=7,
            reserve_bps=1_000,
            reserve_days=90,
        ),
    )
    await bazaar.sell(1_000, rest(account))
    standing = await bazaar.standing(account)
    assert (standing.available_minor, standing.pending_minor, standing.reserved_minor) == (
        1_000,
        900,
        100,
    )


class Office:
    """A KYC check that says what it is told to."""

    def __init__(self) -> None:
        self.answers: list[VendorVerdict | Exception | None] = []
        self.asked: list[CheckVendor] = []

    def describe(self) -> KycManifest:
        """What it declares."""
        return KycManifest(name="office", title="Office", version="1", settings=PluginSettings)

    async def check_vendor(self, call: Call, request: CheckVendor) -> Any:
        """The next answer."""
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class OfficePlugin:
    """The plugin that brings it."""

    def __init__(self, office: Office) -> None:
        self._office = office

    @hookimpl
    def kyc_checks(self) -> Sequence[Office]:
        """One check."""
        return [self._office]


@pytest.fixture(scope="module")
async def office(payment_home: HomeOfTest) -> AsyncIterator[tuple[Office, Till]]:
    """An engine with the check installed."""
    there = Office()
    async with open_till(payment_home, plugins={"office": OfficePlugin(there)}) as till:
        yield there, till


async def _at(office: tuple[Office, Till], *answers: VendorVerdict | Exception | None) -> Bazaar:
    there, till = office
    there.answers[:] = answers
    there.asked.clear()
    bazaar = Bazaar(await till.shop())
    await till.engine.registry.save_settings(bazaar.shop.context, "office", enabled=True)
    return bazaar


async def test_a_plugin_verifies(office: tuple[Office, Till]) -> None:
    bazaar = await _at(office, VendorVerdict(result="verified"))
    account = await bazaar.open(metadata={"vat": "DE1"})
    assert (await bazaar.move("submit", account)).status == "active"
    (asked,) = office[0].asked
    assert (asked.account_id, asked.metadata) == (account.id, {"vat": "DE1"})
    checks = (await bazaar.room.accounts.checks_of(bazaar.shop.context, [account.id]))[account.id]
    assert [each.actor for each in checks] == ["plugin:office"]


async def test_a_plugin_asks_for_more_or_rejects(office: tuple[Office, Till]) -> None:
    needs = VendorVerdict(result="needs_information", requirements=("a photo",))
    bazaar = await _at(office, needs, VendorVerdict(result="rejected"))
    account = await bazaar.open()
    asked = await bazaar.move("submit", account)
    assert (asked.status, asked.requirements) == ("action_required", ("a photo",))
    assert (await bazaar.move("submit", account)).status == "rejected"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        RuntimeError("no"),
        VendorVerdict(result="pending"),
        VendorVerdict(result="certainly"),  # type: ignore[arg-type]
        VendorVerdict(result="verified", requirements="all"),  # type: ignore[arg-type]
    ],
)
async def test_without_a_word_the_account_waits_and_may_be_asked_about_again(
    office: tuple[Office, Till], answer: Any
) -> None:
    bazaar = await _at(office, answer, VendorVerdict(result="verified"))
    account = await bazaar.open()
    assert (await bazaar.move("submit", account)).status == "pending_verification"
    assert (await bazaar.move("submit", account)).status == "active"
