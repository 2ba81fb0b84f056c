"""What may a model learn from?

One list for every kind of business: what a payment says of itself, how often and how much its
card, customer, device, address and seller paid, what is new about it, and what became known of
earlier ones. What a business does not know of its payments never reaches the trees.
"""

from __future__ import annotations

from payengine.plugin.features import Feature, distinct, known_fraud, recent, seen, velocity
from payengine.plugin.trees import Input

__all__ = ["CANDIDATES", "candidate_inputs", "features_of"]

_AMOUNT = "base_minor"

#: Kept few on purpose: each is a look into the past of a payment that waits. What one says of the
#: device, the next says of customer or address: not every file knows all of them.
CANDIDATES: tuple[Feature, ...] = (
    velocity("card", "count", "1d"),
    velocity("card", "count", "7d"),
    velocity("card", "mean", "7d"),
    velocity("card", "mean", "30d"),
    velocity("card", "max", "7d"),
    velocity("card", "max", "14d"),
    recent("card", "median", last=60),
    seen("card", "age"),
    seen("card", "gap"),
    known_fraud("card", window="30d"),
    known_fraud("card", "last_label"),
    seen("customer", "age"),
    seen("customer", "gap"),
    velocity("customer", "mean", "30d"),
    recent("customer", "median", last=20),
    distinct("customer", "card", "30d"),
    seen("customer", "previous", of="card"),
    seen("customer", "previous", of="device"),
    seen("customer", "previous", of="email_domain"),
    seen("customer", "previous", of="ip"),
    seen("customer", "previous", of="ip_country"),
    velocity("device", "count", "1h"),
    velocity("device", "count", "30d"),
    distinct("device", "card", "30d"),
    distinct("device", "customer", "30d"),
    seen("device", "age"),
    seen("device", "gap"),
    seen("device", "previous", of="customer"),
    seen("ip", "age"),
    seen("ip", "gap"),
    distinct("ip", "card", "30d"),
    velocity("seller", "count", "1d"),
    velocity("seller", "count", "7d"),
    velocity("seller", "count", "30d"),
    velocity("seller", "mean", "30d"),
    distinct("seller", "card", "30d"),
    distinct("seller", "customer", "7d"),
    seen("seller", "age"),
    known_fraud("seller", window="7d"),
    known_fraud("seller", window="21d"),
    known_fraud("seller", "labeled", window="21d"),
    known_fraud("seller", "run"),
    known_fraud("seller", "last_label"),
)
_RATIOS = (
    (_AMOUNT, "card.median.last60"),
    (_AMOUNT, "card.mean.30d"),
    (_AMOUNT, "seller.mean.30d"),
    ("card.max.14d", "card.median.last60"),
    ("seller.count.7d", "seller.count.30d"),
    ("seller.run", "seller.count.30d"),
    ("seller.fraud.21d", "seller.run"),
    ("seller.fraud.21d", "seller.labeled.21d"),
)
_SAME = (
    ("issuer_country", "ip_country"),
    ("issuer_country", "ship_country"),
    ("ip_country", "ship_country"),
    ("billing_country", "issuer_country"),
)
_FIELDS = (_AMOUNT, "account_age_days", "off_session")
#: What only the issuer's answer tells.
_ANSWERS = ("address_ok", "cvc_ok")


def candidate_inputs(
    *, after_answer: bool = False, domains: tuple[str, ...] = ()
) -> tuple[Input, ...]:
    """Every input that may be learned from; `domains` are e-mail domains worth a question each.

    `after_answer` adds what is known only after the authorization.
    """
    fields = (*_FIELDS, *_ANSWERS) if after_answer else _FIELDS
    return (
        *(Input("number", (field,)) for field in fields),
        *(Input("again", (each.name,)) for each in CANDIDATES if each.measure == "previous"),
        *(Input("number", (each.name,)) for each in CANDIDATES if each.measure != "previous"),
        *(Input("ratio", pair) for pair in _RATIOS),
        *(Input("same", pair) for pair in _SAME),
        *(Input("is", ("email_domain", domain)) for domain in domains),
    )


def features_of(inputs: tuple[Input, ...]) -> tuple[Feature, ...]:
    """The candidates that these inputs read."""
    read = {name for each in inputs for name in each.of}
    return tuple(each for each in CANDIDATES if each.name in read)
