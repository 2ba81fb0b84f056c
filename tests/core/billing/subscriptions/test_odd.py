"""Does what nobody foresaw change nothing, and is nothing given away?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from payengine.billing.invoices.balances import Balances
from payengine.billing.invoices.models import AdjustBalance, VoidInvoice, WriteOffInvoice
from payengine.billing.invoices.profiles import Profiles, SetBillingProfile
from payengine.billing.invoices.service import Invoices
from payengine.billing.invoices.taxing import TaxDesk
from payengine.billing.models import ArchivePrice
from payengine.billing.subscriptions.models import (
    CancelSubscription,
    PauseSubscription,
    ResumeSubscription,
)
from payengine.billing.subscriptions.steps import Steps
from payengine.errors import AmountTooLarge, Conflict, InputInvalid, TaxNotKnown
from payengine.registry import Registry
from payengine.vault import Vault

from tests.core.billing.invoices.selling import JULY, JUNE
from tests.core.billing.subscriptions.shops import SubscriptionShop, amounts, edit
from tests.engines import key

_HALF = datetime(2025, 6, 16, tzinfo=UTC)
_AUGUST = datetime(2025, 8, 1, tzinfo=UTC)

_UNPAID = """
    UPDATE subscription SET status = 'unpaid', access = 'suspended', due_at = NULL
    WHERE tenant_id = $1 AND id = $2 RETURNING id
"""


def _resumption(subscription_id: str) -> ResumeSubscription:
    return ResumeSubscription(idempotency_key=key(), subscription_id=subscription_id)


@pytest.mark.parametrize("far", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
async def test_an_anchor_and_a_scheduled_change_lie_within_ten_years(
    shop: SubscriptionShop, far: datetime
) -> None:
    price = await shop.seller.price(1_000)
    with pytest.raises(InputInvalid, match="ten years"):
        await shop.create(price, anchor=far)
    made = await shop.active(price)
    with pytest.raises(InputInvalid, match="ahead"):
        await shop.schedule(made.id, kind="cancel", at=far)


async def test_ids_that_are_none_are_refused_before_anything_is_kept(
    shop: SubscriptionShop,
) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    for odd in (
        edit("\x00", quantity="1"),
        edit("sit", quantity="1"),
        edit(price_id="\x00"),
        edit(price_id="prc"),
    ):
        with pytest.raises(InputInvalid, match="form"):
            await shop.change(made.id, odd)
        with pytest.raises(InputInvalid, match="form"):
            await shop.schedule(made.id, items=(odd,))
        with pytest.raises(InputInvalid, match="form"):
            await shop.room.previews.change(shop.context, shop.changing(made.id, odd))
    assert await shop.read(made.id) == made


@pytest.mark.parametrize("act", [SubscriptionShop.cancel, SubscriptionShop.pause])
async def test_nothing_is_given_back_of_what_nobody_has_paid(
    shop: SubscriptionShop, act: Callable[..., Awaitable[Any]]
) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    await shop.renew(JULY)
    shop.go_to(JULY + timedelta(days=1))
    with pytest.raises(Conflict, match="open"):
        await act(shop, made.id, when="now", prorate=True)
    await shop.pay()
    await act(shop, made.id, when="now", prorate=True)
    given_back = "SELECT line FROM pending_line WHERE tenant_id = $1"
    assert [row["line"]["amount"] for row in await shop.seller.rows(given_back)] == [-968]


async def test_a_canceled_subscription_pays_for_what_was_told_late(shop: SubscriptionShop) -> None:
    meter = await shop.seller.meter()
    price = await shop.seller.price(2, meter_id=meter.id)
    plan = await shop.seller.price(1_000)
    made = await shop.active(plan, price)
    customer = made.customer_id
    shop.go_to(_HALF)
    await shop.seller.use(meter, customer, "10", _HALF - timedelta(days=1))
    await shop.renew(JULY)
    assert amounts((await shop.invoices())[-1]) == [1_000, 20]
    shop.go_to(JULY + timedelta(days=3))
    await shop.seller.use(meter, customer, "5", _HALF)
    await shop.seller.use(meter, customer, "7", JULY + timedelta(days=1))
    await shop.cancel(made.id, when="now")
    assert sorted(amounts((await shop.invoices())[-1])) == [10, 14]


async def test_the_preview_of_an_end_is_the_invoice_that_follows(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    shop.go_to(_HALF)
    request = CancelSubscription(
        idempotency_key=key(), subscription_id=made.id, when="now", prorate=True
    )
    preview = await shop.room.previews.change(shop.context, request)
    assert preview.invoice is not None
    assert preview.invoice.total == -500
    await shop.room.subscriptions.cancel(shop.context, request)
    assert (await shop.invoices())[-1]["hash"] == preview.hash


async def test_the_previews_of_a_pause_and_a_resumption_are_what_follows(
    shop: SubscriptionShop,
) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    shop.go_to(_HALF)
    pause = PauseSubscription(
        idempotency_key=key(), subscription_id=made.id, when="now", prorate=True
    )
    preview = await shop.room.previews.change(shop.context, pause)
    assert (preview.invoice, [line.amount for line in preview.lines]) == (None, [-500])
    await shop.room.subscriptions.pause(shop.context, pause)
    shop.go_to(_AUGUST)
    preview = await shop.room.previews.change(shop.context, _resumption(made.id))
    assert preview.invoice is not None
    assert preview.invoice.total == 500
    await shop.resume(made.id)
    assert (await shop.invoices())[-1]["hash"] == preview.hash


async def test_what_time_had_done_comes_before_a_preview(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    (item,) = await shop.items(made.id)
    shop.go_to(JULY + timedelta(days=15, hours=12))
    request = shop.changing(made.id, edit(item, quantity="2"), behavior="always_invoice")
    preview = await shop.room.previews.change(shop.context, request)
    assert preview.invoice is not None
    assert preview.invoice.total == 500
    assert len(await shop.invoices()) == 2
    await shop.room.subscriptions.change(shop.context, request)
    assert (await shop.invoices())[-1]["hash"] == preview.hash
    with pytest.raises(Conflict, match="version"):
        await shop.room.previews.change(
            shop.context, shop.changing(made.id, edit(item), expected_version=1)
        )


async def test_nothing_comes_where_the_subscription_ends(shop: SubscriptionShop) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    await shop.cancel(made.id, when="period_end")
    foretold = await shop.room.previews.upcoming(shop.context, made.id)
    assert foretold.upcoming is None


def _invoices(shop: SubscriptionShop, vault: Vault) -> Invoices:
    """The invoices of the shop, as the engine makes them."""
    registry = Registry.load(shop.seller.database, vault, clock=shop.seller.clock)
    return Invoices(
        database=shop.seller.database,
        clock=shop.seller.clock,
        taxes=TaxDesk(database=shop.seller.database, calculators=registry.calculators),
        resume=Steps().resume_unpaid,
    )


async def _fallen(shop: SubscriptionShop, subscription_id: str) -> str:
    """The subscription is unpaid since its renewal of July; its open invoice."""
    await shop.renew(JULY)
    assert await shop.seller.rows(_UNPAID, subscription_id)
    (row,) = await shop.seller.rows(
        "SELECT id FROM invoice WHERE tenant_id = $1 AND status = 'open'"
    )
    name: str = row["id"]
    return name


@pytest.mark.parametrize("how", ["void", "write_off"])
async def test_an_unpaid_one_whose_last_debt_is_gone_begins_anew_and_owes_no_months_between(
    shop: SubscriptionShop, vault: Vault, how: str
) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    invoice_id = await _fallen(shop, made.id)
    shop.go_to(datetime(2025, 11, 5, tzinfo=UTC))
    kind = VoidInvoice if how == "void" else WriteOffInvoice
    request = kind(idempotency_key=key(), invoice_id=invoice_id)
    await getattr(_invoices(shop, vault), how)(shop.context, request)
    after = await shop.read(made.id)
    assert (after.status, after.period_start) == ("active", shop.now)
    await shop.renew()
    assert len(await shop.invoices()) == 3


async def test_an_unpaid_one_of_a_taxed_tenant_begins_anew_when_its_tax_is_known(
    shop: SubscriptionShop, vault: Vault
) -> None:
    registry = Registry.load(shop.seller.database, vault, clock=shop.seller.clock)
    made = await shop.active(await shop.seller.price(1_000))
    rates = {"rates": {"DE": {"standard": "1900"}}}
    await registry.save_settings(shop.context, "tax_simple", enabled=True, settings=rates)
    invoice_id = await _fallen(shop, made.id)
    await shop.seller.set(tax_calculator="simple")
    shop.go_to(datetime(2025, 11, 5, tzinfo=UTC))
    request = VoidInvoice(idempotency_key=key(), invoice_id=invoice_id)
    await _invoices(shop, vault).void(shop.context, request)
    assert (await shop.read(made.id)).status == "unpaid"
    with pytest.raises(TaxNotKnown):
        await shop.room.previews.change(shop.context, _resumption(made.id))
    await shop.renew()
    assert (await shop.read(made.id)).status == "unpaid"
    profiles = Profiles(database=shop.seller.database, clock=shop.seller.clock, vault=vault)
    profile = SetBillingProfile(idempotency_key=key(), customer_id=made.customer_id, country="DE")
    await profiles.set(shop.context, profile)
    shop.go_to(shop.now + timedelta(hours=1))
    await shop.renew()
    after = await shop.read(made.id)
    assert (after.status, after.period_start) == ("active", datetime(2025, 11, 5, tzinfo=UTC))
    assert (await shop.invoices())[-1]["total"] == 1_190


async def test_a_balance_that_no_number_holds_is_refused(shop: SubscriptionShop) -> None:
    balances = Balances(database=shop.seller.database, clock=shop.seller.clock)
    customer = await shop.seller.customer()
    most = AdjustBalance(
        idempotency_key=key(), customer_id=customer, currency="EUR", amount=2**63 - 1, reason="x"
    )
    await balances.adjust(shop.context, most)
    with pytest.raises(AmountTooLarge):
        await balances.adjust(
            shop.context,
            AdjustBalance(
                idempotency_key=key(), customer_id=customer, currency="EUR", amount=1, reason="x"
            ),
        )
    assert (await balances.of(shop.context, [customer]))[customer] == {"EUR": 2**63 - 1}


async def test_a_calculator_that_is_not_installed_is_not_chosen(shop: SubscriptionShop) -> None:
    with pytest.raises(InputInvalid, match="No such tax calculator"):
        await shop.seller.set(tax_calculator="nobody")
    assert shop.now == JUNE


async def test_usage_alone_spends_no_number_on_an_empty_invoice(shop: SubscriptionShop) -> None:
    meter = await shop.seller.meter()
    wanted = await shop.wanted(await shop.seller.price(2, meter_id=meter.id))
    assert (await shop.room.previews.creation(shop.context, wanted)).invoice is None
    made = await shop.room.subscriptions.create(shop.context, wanted)
    assert (made.status, made.access) == ("active", "granted")
    assert await shop.invoices() == []


async def test_what_is_left_out_of_the_dunning_settings_stays(shop: SubscriptionShop) -> None:
    before = await shop.seller.settings.get(shop.context)
    await shop.seller.set(dunning={"final_action": "unpaid"})
    await shop.seller.set(dunning={"access_grace_days": 3})
    after = (await shop.seller.settings.get(shop.context)).dunning
    assert (after.final_action, after.access_grace_days) == ("unpaid", 3)
    assert after.retry_intervals_days == before.dunning.retry_intervals_days


async def test_what_is_scheduled_and_cannot_be_done_is_no_part_of_what_comes(
    shop: SubscriptionShop,
) -> None:
    made = await shop.active(await shop.seller.price(1_000))
    (item,) = await shop.items(made.id)
    dearer = await shop.seller.price(2_000)
    await shop.schedule(made.id, items=(edit(item, price_id=dearer.id),))
    archived = ArchivePrice(idempotency_key=key(), price_id=dearer.id)
    await shop.seller.catalogue.archive_price(shop.context, archived)
    foretold = await shop.room.previews.upcoming(shop.context, made.id)
    assert foretold.upcoming is not None
    assert foretold.upcoming.total == 1_000
    await shop.renew(JULY)
    assert (await shop.invoices())[-1]["hash"] == foretold.upcoming_hash
