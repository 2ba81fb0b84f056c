"""Where is everything about invoices?

One record of what this room offers, made by `payengine.engine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from payengine.billing.invoices.balances import Balances
from payengine.billing.invoices.crediting import CreditNotes
from payengine.billing.invoices.paper import Buyers, Papers
from payengine.billing.invoices.profiles import Profiles
from payengine.billing.invoices.renewals import Renewals, Steps
from payengine.billing.invoices.service import Invoices
from payengine.billing.invoices.setting_store import SettingStore
from payengine.billing.invoices.taxing import TaxDesk
from payengine.payments import Means, Payments

__all__ = ["InvoiceRoom"]


@dataclass(frozen=True, slots=True)
class InvoiceRoom:
    """What is owed, and how it comes to be."""

    invoices: Invoices
    credit_notes: CreditNotes
    balances: Balances
    papers: Papers
    profiles: Profiles
    renewals: Renewals
    settings: SettingStore
    taxes: TaxDesk

    @classmethod
    def of(
        cls,
        means: Means,
        payments: Payments,
        customers: Buyers,
        *,
        steps: Steps | None = None,
    ) -> Self:
        """The room; `steps` are what time does to subscriptions beside renewing them."""
        database, clock = means.database, means.clock
        resume = None if steps is None else steps.resume_unpaid
        taxes = TaxDesk(database=database, calculators=means.registry.calculators)
        profiles = Profiles(database=database, clock=clock, vault=means.vault)
        return cls(
            invoices=Invoices(
                database=database, clock=clock, taxes=taxes, resume=resume, nudge=means.nudge
            ),
            credit_notes=CreditNotes(
                database=database,
                clock=clock,
                payments=payments,
                resume=resume,
                nudge=means.nudge,
            ),
            balances=Balances(database=database, clock=clock, nudge=means.nudge),
            papers=Papers(database=database, customers=customers, profiles=profiles),
            profiles=profiles,
            renewals=Renewals(
                database=database, clock=clock, taxes=taxes, steps=steps, nudge=means.nudge
            ),
            settings=SettingStore(
                database=database, clock=clock, calculators=means.registry.calculators.names()
            ),
            taxes=taxes,
        )
