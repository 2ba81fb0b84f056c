"""How does a payment move?

Payment → attempt → operation. `Payments` is the door; `service` opens payments, `steps` takes
them further, `reconcile` ends what nobody answered, `reading` shows them; `fold`, `plans`,
`settle` and `books` are pure.
"""

from __future__ import annotations

from payengine.payments.batch import PaymentBatches
from payengine.payments.desk import Payments
from payengine.payments.inputs import (
    CapturePayment,
    ConfirmPayment,
    CreatePayment,
    FraudInput,
    IncrementAuthorization,
    MethodInput,
    RefundPayment,
    VoidPayment,
)
from payengine.payments.means import Means, goes_to_its_end
from payengine.payments.models import Attempt, Evidence, Operation, Payment
from payengine.payments.reading import PaymentFilter, PaymentReader
from payengine.payments.reconcile import Reconciler
from payengine.payments.record import Recorder
from payengine.payments.service import PaymentResult

__all__ = [
    "Attempt",
    "CapturePayment",
    "ConfirmPayment",
    "CreatePayment",
    "Evidence",
    "FraudInput",
    "IncrementAuthorization",
    "Means",
    "MethodInput",
    "Operation",
    "Payment",
    "PaymentBatches",
    "PaymentFilter",
    "PaymentReader",
    "PaymentResult",
    "Payments",
    "Reconciler",
    "Recorder",
    "RefundPayment",
    "VoidPayment",
    "goes_to_its_end",
]
