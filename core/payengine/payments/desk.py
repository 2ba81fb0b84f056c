"""Where is everything that may be asked of payments?

`Payments` is the one door: it opens payments, takes them further and reads them.
"""

from __future__ import annotations

from payengine.payments.means import Means
from payengine.payments.reading import PaymentReader
from payengine.payments.record import Recorder
from payengine.payments.repair import Repair
from payengine.payments.reviewed import ReviewedPayments
from payengine.payments.service import PaymentOpening
from payengine.payments.steps import PaymentSteps

__all__ = ["Payments"]


class Payments:
    """Every mutation and read of payments; each takes the tenant's context first."""

    def __init__(self, means: Means, recorder: Recorder) -> None:
        opening = PaymentOpening(means, recorder)
        steps = PaymentSteps(means, recorder)
        reader = PaymentReader(means.database)
        repair = Repair(means, recorder)
        self.create = opening.create
        self.confirm = repair.first(opening.confirm)
        self.capture = repair.first(steps.capture)
        self.void = repair.first(steps.void)
        self.refund = repair.first(steps.refund)
        self.increment = repair.first(steps.increment)
        self.release = ReviewedPayments(means, steps).release
        self.get_many = reader.get_many
        self.page = reader.page
        self.attempts_of = reader.attempts_of
        self.operations_of = reader.operations_of
        self.operations_by_id = reader.operations_by_id
        self.evidence_of = reader.evidence_of
