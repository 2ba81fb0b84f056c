"""Does every refusal that we know lead into the taxonomy, and every other keep its name?"""

from __future__ import annotations

import pytest
from payengine.plugin import DECLINE_CODES, decline_rule
from payengine_paypal.declines import (
    IN_PROGRESS,
    ISSUES,
    NOT_PROCESSED,
    PROCESSOR_CODES,
    RESOURCE_CODES,
    decline_of_code,
    decline_of_problem,
)
from payengine_paypal.outcomes import refusal_outcome
from payengine_paypal.records import Problem, Unclear, read


def problem(name: str, *issues: str) -> Problem:
    """An error as PayPal spells it."""
    details = ",".join(f'{{"issue":"{issue}","description":"why"}}' for issue in issues)
    return read(f'{{"name":"{name}","message":"said","details":[{details}]}}'.encode(), Problem)


def test_tables_lead_into_the_taxonomy() -> None:
    tables = (ISSUES, PROCESSOR_CODES, RESOURCE_CODES)
    assert {code for table in tables for code in table.values()} <= DECLINE_CODES.keys()
    assert len(ISSUES) >= 50
    assert len(PROCESSOR_CODES) >= 55


def test_tables_do_not_contradict_each_other() -> None:
    assert not ISSUES.keys() & {*NOT_PROCESSED}
    assert not ISSUES.keys() & {*IN_PROGRESS}
    assert not {*NOT_PROCESSED} & {*IN_PROGRESS}


@pytest.mark.parametrize("issue", ISSUES)
def test_known_issue_declines(issue: str) -> None:
    outcome = refusal_outcome(422, problem("UNPROCESSABLE_ENTITY", issue))
    assert outcome.status == "declined"
    assert outcome.decline is not None
    assert (outcome.decline.code, outcome.decline.raw_code) == (ISSUES[issue], issue)
    assert outcome.decline.raw_text == "why"


@pytest.mark.parametrize(
    ("status", "name", "issue", "code"),
    [(401, "AUTHENTICATION_FAILURE", "INVALID_ACCOUNT_STATUS", "INVALID_ACCOUNT_STATUS"),
     (403, "NOT_AUTHORIZED", "PERMISSION_DENIED", "PERMISSION_DENIED"),
     (404, "RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "INVALID_RESOURCE_ID"),
     (400, "INVALID_REQUEST", "SOMETHING_NEW", "INVALID_REQUEST"),
     (429, "RATE_LIMIT_REACHED", "", "RATE_LIMIT_REACHED"),
     (422, "UNPROCESSABLE_ENTITY", "DECIMAL_PRECISION", "DECIMAL_PRECISION")],
)  # fmt: skip
def test_refusals_that_prove_that_nothing_was_done(
    status: int, name: str, issue: str, code: str
) -> None:
    outcome = refusal_outcome(status, problem(name, *([issue] if issue else [])))
    assert (outcome.status, outcome.raw_status) == ("not_processed", code)
    assert code in NOT_PROCESSED


@pytest.mark.parametrize(
    ("status", "name", "issues"),
    [(409, "RESOURCE_CONFLICT", ["PREVIOUS_REQUEST_IN_PROGRESS"]),
     (422, "UNPROCESSABLE_ENTITY", ["DUPLICATE_INVOICE_ID"]),
     (422, "UNPROCESSABLE_ENTITY", ["INSTRUMENT_DECLINED", "DUPLICATE_INVOICE_ID"]),
     (422, "UNPROCESSABLE_ENTITY", ["ORDER_COMPLETION_IN_PROGRESS"]),
     (418, "TEAPOT", []), (400, "SOMETHING_ELSE", []), (408, "REQUEST_TIMEOUT", []),
     (404, "", [])],
)  # fmt: skip
def test_what_proves_nothing_is_unclear(status: int, name: str, issues: list[str]) -> None:
    with pytest.raises(Unclear):
        refusal_outcome(status, problem(name, *issues))


def test_unmapped_codes_keep_their_names_and_are_seen_to_be_unknown() -> None:
    told = decline_of_problem(problem("UNPROCESSABLE_ENTITY", "A_NEW_ISSUE"))
    assert (told.code, told.raw_code) == ("a_new_issue", "A_NEW_ISSUE")
    assert not decline_rule(told.code).known
    told = decline_of_code(processor="ZZZZ", reason="", status="DECLINED")
    assert not decline_rule(told.code).known
    assert told.raw_code == "ZZZZ"
    told = decline_of_code(processor="", reason="A_NEW_REASON", status="DECLINED")
    assert (told.code, told.raw_code) == ("a_new_reason", "A_NEW_REASON")
    assert not decline_rule(told.code).known
    told = decline_of_problem(problem(""))
    assert (told.code, told.raw_code) == ("unnamed", "UNNAMED")


@pytest.mark.parametrize("status", ["DECLINED", "FAILED", "DENIED", "VOIDED", "CANCELLED"])
def test_a_refusal_without_a_reason_is_a_decline_like_any(status: str) -> None:
    told = decline_of_code(processor="", reason="", status=status)
    assert (told.code, told.raw_code) == ("generic_decline", status)
    told = decline_of_code(processor="", reason="DECLINED_BY_RISK_FRAUD_FILTERS", status=status)
    assert told.code == "highest_risk_level"


def test_long_issue_fits_a_code() -> None:
    assert len(decline_of_problem(problem("X", "Y" * 500)).code) == 64
