"""Who pays, and with what?"""

from __future__ import annotations

from payengine.customers.models import (
    CreateCustomer,
    Customer,
    DetachPaymentMethod,
    SavedMethod,
    SavePaymentMethod,
    UpdateCustomer,
)
from payengine.customers.service import Customers

__all__ = [
    "CreateCustomer",
    "Customer",
    "Customers",
    "DetachPaymentMethod",
    "SavePaymentMethod",
    "SavedMethod",
    "UpdateCustomer",
]
