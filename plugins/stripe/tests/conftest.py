"""The fake, one process for the whole session, and shops that are paid through it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from fake_stripe_mailbox import Mailbox, open_mailbox
from fake_stripe_process import FakeStripe, api_key
from fake_stripe_shop import StripeShop, open_shop
from payengine_stripe.client import API_BASE_VARIABLE
from payengine_stripe.gateway import StripeGateway

from tests.conftest import servers
from tests.engines import Till, open_till, payment_home
from tests.servers import HomeOfTest

__all__ = ["payment_home", "servers"]


@pytest.fixture(scope="session")
def fake() -> Iterator[FakeStripe]:
    """The fake Stripe, which the installed plugin reaches too."""
    with FakeStripe() as started:
        before = os.environ.get(API_BASE_VARIABLE)
        os.environ[API_BASE_VARIABLE] = started.url
        yield started
        os.environ.pop(API_BASE_VARIABLE)
        if before is not None:
            os.environ[API_BASE_VARIABLE] = before


@pytest.fixture
async def gateway(fake: FakeStripe) -> AsyncIterator[StripeGateway]:
    """A gateway that reaches the fake."""
    made = StripeGateway(api_base=fake.url)
    yield made
    await made.aclose()


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    """An address that keeps what is sent to it."""
    async with open_mailbox() as opened:
        yield opened


@pytest.fixture
def key() -> str:
    """An account of its own, with multicapture and increments."""
    return api_key(flexible=True)


@pytest.fixture(scope="session")
async def stripe_till(payment_home: HomeOfTest, fake: FakeStripe) -> AsyncIterator[Till]:
    """An engine whose loops stand still."""
    async with open_till(payment_home) as opened:
        yield opened


@pytest.fixture
async def stripe_shop(stripe_till: Till, fake: FakeStripe) -> StripeShop:
    """A fresh tenant that is paid through Stripe."""
    return await open_shop(stripe_till, fake)
