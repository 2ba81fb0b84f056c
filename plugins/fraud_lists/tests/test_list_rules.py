"""Does a list's entry mean what the tenant says, and is a throw-away address known?"""

from __future__ import annotations

import pytest
from payengine.plugin import VerdictKind
from payengine.testing import RuleCase, RuleContract, RuleSample, sample_context
from payengine_fraud_lists import (
    DisposableEmail,
    DisposableEmailSettings,
    Lists,
    ListsSettings,
    is_disposable,
)

_BLOCKED = sample_context(features={"list.listed.block": "card,country"})
_ALLOWED = sample_context(features={"list.listed.allow": "customer"})
_BOTH = sample_context(features={"list.listed.block": "country", "list.listed.allow": "customer"})


class TestLists(RuleContract):
    def case(self) -> RuleCase:
        return RuleCase(
            rule=Lists(),
            samples=[
                RuleSample(context=sample_context(), verdict="abstain"),
                RuleSample(context=_BLOCKED, verdict="block", reason="block_list"),
                RuleSample(context=_ALLOWED, verdict="allow_list", reason="allow_list"),
                RuleSample(context=_BOTH, verdict="allow_list"),
            ],
        )


class TestDisposableEmail(RuleContract):
    def case(self) -> RuleCase:
        def of(domain: str | None, days: int | None, verdict: VerdictKind) -> RuleSample:
            context = sample_context(email_domain=domain, account_age_days=days)
            return RuleSample(context=context, verdict=verdict)

        return RuleCase(
            rule=DisposableEmail(),
            samples=[
                of("mailinator.com", 0, "challenge"),
                of("mailinator.com", None, "challenge"),
                of("mailinator.com", 31, "allow"),
                of("mail.example", 0, "allow"),
                of(None, 0, "abstain"),
            ],
        )


def test_hard_block_holds_against_an_allow_list() -> None:
    settings = ListsSettings(blocked="hard_block")
    assert Lists().evaluate(_BOTH, settings).verdict == "hard_block"


def test_allow_list_can_be_made_to_overrule_nothing() -> None:
    settings = ListsSettings(allow_list_decides=False)
    assert Lists().evaluate(_BOTH, settings).verdict == "block"
    assert Lists().evaluate(_ALLOWED, settings).verdict == "allow"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("tempmail.com", True),
        ("eu.tempmail.net", True),
        ("TempMail", True),
        ("mailinator.com.", True),
        ("grr.la", True),
        ("gmail.com", False),
        ("tempmail-lovers.example", False),
        ("com", False),
        ("nottempmail.com", False),
        ("", False),
        ("." * 300, False),
    ],
)
def test_known_services_are_known_by_name_and_by_domain(domain: str, expected: bool) -> None:
    assert is_disposable(domain) is expected


def test_tenant_adds_and_takes_away() -> None:
    assert is_disposable("a.fleeting.example", more=("fleeting.example",))
    assert not is_disposable("mailinator.com", not_these=("mailinator.com",))
    settings = DisposableEmailSettings(more=("mail.example",), new_account="block")
    context = sample_context(account_age_days=1)
    assert DisposableEmail().evaluate(context, settings).verdict == "block"
