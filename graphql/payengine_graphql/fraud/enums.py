"""Which words does the API use for fraud?"""

from __future__ import annotations

from enum import Enum
from typing import Any

import strawberry

__all__ = [
    "FraudAlertKind",
    "FraudLabelSource",
    "FraudListKind",
    "FraudListName",
    "FraudRuleMode",
    "FraudStage",
    "FraudVerdict",
]


def _value(value: str, description: str) -> Any:
    return strawberry.enum_value(value, description=description)


@strawberry.enum(description="Which of the tenant's two lists.")
class FraudListName(Enum):
    """See the description."""

    BLOCK = _value("block", "Whom the rule `lists` stops.")
    ALLOW = _value("allow", "Whom it lets through, against all but a hard block.")


@strawberry.enum(description="What an entry of a list is about.")
class FraudListKind(Enum):
    """See the description."""

    CARD = _value("card", "A card, by its fingerprint: take it from a payment.")
    COUNTRY = _value("country", "A country: of the card, the address or the delivery.")
    CUSTOMER = _value("customer", "A customer, by id.")
    DEVICE = _value("device", "A device, by the name that your shop gives it.")
    EMAIL = _value("email", "An e-mail address.")
    EMAIL_DOMAIN = _value("email_domain", "All addresses of a domain.")
    IP = _value("ip", "An address, or a network such as 203.0.113.0/24.")
    ISSUER_RANGE = _value("issuer_range", "Cards that begin with these 4 to 8 digits.")
    SELLER = _value("seller", "A seller, by id.")


@strawberry.enum(description="What is unlike what it used to be.")
class FraudAlertKind(Enum):
    """See the description."""

    SUCCESS_RATE = _value("success_rate", "Fewer payments of the last hour went through.")
    DECLINE_MIX = _value("decline_mix", "The gateways decline for other reasons.")
    STOP_RATE = _value("stop_rate", "Another share of payments was stopped or doubted.")
    FRAUD_RATE = _value("fraud_rate", "More fraud became known in a day.")
    SCORE_SHIFT = _value("score_shift", "A rule's scores are distributed otherwise.")
    FEATURE_SHIFT = _value("feature_shift", "A fact that rules read is distributed otherwise.")
    RULE_ERRORS = _value("rule_errors", "A rule raised, was too slow or answered nonsense.")
    QUEUE_AGE = _value("queue_age", "A review has waited for long.")


@strawberry.enum(description="When a rule is asked.")
class FraudStage(Enum):
    """See the description."""

    PRE_AUTH = _value("pre_auth", "Before the gateway is asked.")
    POST_AUTH = _value("post_auth", "When the issuer has answered.")
    PAYOUT = _value("payout", "Before money leaves for a seller.")
    REFUND = _value("refund", "Before money is given back.")


@strawberry.enum(description="What a rule or all rules together think, from the weakest.")
class FraudVerdict(Enum):
    """See the description."""

    ABSTAIN = _value("abstain", "Nothing: it knows too little.")
    ALLOW = _value("allow", "Nothing is wrong.")
    REVIEW = _value("review", "A person should decide.")
    CHALLENGE = _value("challenge", "The buyer should prove who they are.")
    BLOCK = _value("block", "Stop it.")
    ALLOW_LIST = _value("allow_list", "Let it through, whatever weaker verdicts say.")
    HARD_BLOCK = _value("hard_block", "Stop it, whatever any other verdict says.")


@strawberry.enum(description="Whether a rule's verdict counts.")
class FraudRuleMode(Enum):
    """See the description."""

    OFF = _value("off", "It is not asked.")
    SHADOW = _value("shadow", "It is asked and written down, and decides nothing.")
    LIVE = _value("live", "Its verdict counts.")


@strawberry.enum(description="Who knows that a payment was fraudulent, or was not.")
class FraudLabelSource(Enum):
    """See the description."""

    DISPUTE = _value("dispute", "The buyer's bank, by a dispute for a reason of fraud.")
    REVIEW = _value("review", "A person who decided on a review.")
    TENANT = _value("tenant", "The tenant, by `reportFraudOutcome`.")
    PROVIDER = _value("provider", "The provider.")
    IMPORT = _value("import", "A file that was read in.")
