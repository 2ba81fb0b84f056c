"""Does a condition mean what it says, and can none of them hang, raise or reach out?"""

from __future__ import annotations

import random
import string
from typing import Any

import pytest
from payengine.errors import PluginSettingsInvalid
from payengine.plugin import parse_settings, to_plain
from payengine.testing import RuleCase, RuleContract, RuleSample, sample_context
from payengine_fraud_expression import (
    Condition,
    ExpressionRule,
    ExpressionSettings,
    ExpressionWrong,
    OwnCondition,
    compile_condition,
)

_KNOWN = {"card.count.1h": 4, "card.median.last60": 100.0, "customer.previous.ip_country": "FR"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amount_minor > 1000", True),
        ("amount_minor > 1_200", False),
        ("1000 < amount_minor <= 1200", True),
        ("amount_minor > 3 * recent('card', 'median', last=60)", True),
        ("-amount_minor + 2 * base_minor == 1200", True),
        ("amount_minor / 12 == 100", True),
        ("velocity('card', 'count', '1h') >= 4 and currency == 'EUR'", True),
        ("velocity('card', 'count', '1h') > 4 or currency != 'EUR'", False),
        ("seen('customer', 'previous', of='ip_country') != ip_country", True),
        ("ip_country in ('DE', 'AT', 'CH')", True),
        ("ip_country not in ['DE', 'AT']", False),
        ("account_age_days in {400, 500}", True),
        ("not off_session", True),
        ("known(device) and not known(cvc_ok)", True),
        ("metadata('channel') == 'web'", True),
        ("metadata('other') == 'web'", False),
        ("known(metadata('other'))", False),
        ("off_session == False", True),
        ("True", True),
        ("\n  amount_minor > 1000\n  and True\n", True),
    ],
)
def test_condition_means_what_it_says(text: str, expected: bool) -> None:
    context = sample_context(features=_KNOWN, metadata={"channel": "web"})
    assert compile_condition(text).holds(context) is expected


@pytest.mark.parametrize(
    "text",
    [
        "velocity('device', 'count', '1h') > 0",
        "velocity('device', 'count', '1h') <= 0",
        "velocity('device', 'count', '1h') != 7",
        "velocity('device', 'count', '1h') + 1 > 0",
        "seen('device', 'previous', of='card') != 'x'",
        "cvc_ok",
        "not cvc_ok",
        "cvc_ok == False",
        "seller in ('a', 'b')",
        "seller not in ('a', 'b')",
        "metadata('x') != 'y'",
    ],
)
def test_comparison_with_something_unknown_is_false(text: str) -> None:
    assert compile_condition(text).holds(sample_context(seller=None)) is False


def test_feature_of_another_kind_is_unknown() -> None:
    holds = compile_condition("velocity('card', 'count', '1h') * 1000000 > 0").holds
    assert not holds(sample_context(features={"card.count.1h": "a text"}))
    holds = compile_condition("seen('card', 'previous', of='ip') != 'x'").holds
    assert not holds(sample_context(features={"card.previous.ip": 7}))


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("amount_minor >", 15, "cannot be read"),
        ("amount_minor > > 3", 16, "cannot be read"),
        ("  foo > 3", 3, "no 'foo'"),
        ("amount_minor > 3 and foo", 22, "no 'foo'"),
        ("amount_minor > 'x'", 16, "a number cannot be compared with a text"),
        ("currency < 'EUR'", 1, "compared by == and !="),
        ("amount_minor ** 9 > 1", 1, "not allowed"),
        ("amount_minor // 9 > 1", 1, "not allowed"),
        ("amount_minor % 9 > 1", 1, "not allowed"),
        ("amount_minor << 9 > 1", 1, "not allowed"),
        ("amount_minor / 0 > 1", 16, "divide by a number"),
        ("9 / amount_minor > 1", 5, "divide by a number"),
        ("currency * 9 == 'x'", 1, "cannot be reckoned with"),
        ("card.__class__ == 'x'", 1, "a dot"),
        ("card[0] == 'x'", 1, "an index"),
        ("(lambda: 1)() > 0", 1, "can be called"),
        ("__import__('os') == 1", 1, "can be called"),
        ("f'{card}' == 'x'", 1, "formatted"),
        ("[x for x in card] == 1", 1, "not allowed"),
        ("amount_minor if True else 1", 1, "an if"),
        ("card", 1, "neither true nor false"),
        ("5", 1, "neither true nor false"),
        ("velocity('card', 'counts', '1h') > 1", 1, "none of"),
        ("velocity('card', 'median', '1h') > 1", 1, "measures"),
        ("velocity('card', 'count', '1 year') > 1", 1, "a window"),
        ("velocity('card', 'count') > 1", 1, "missing"),
        ("velocity(card, 'count', '1h') > 1", 10, "a number or a text"),
        ("velocity > 1", 1, "is called"),
        ("distinct('device', 'colour', '1h') > 1", 1, "no text of a payment"),
        ("amount_minor in (1, 'x')", 21, "cannot be compared"),
        ("amount_minor in (1, base_minor)", 21, "a choice"),
        ("ip_country in ship_country", 15, "needs a list"),
        ("amount_minor > 10000000000000000", 16, "too large"),
        ("amount_minor > 1e300", 16, "too large"),
        ("amount_minor > 1j", 16, "only numbers"),
        ("currency == b'x'", 13, "only numbers"),
        ("currency == 'é' and foo", 21, "no 'foo'"),
        ("amount_minor > 1 # or so", 18, "means nothing"),
        ("currency == '\\n'", 14, "means nothing"),
        ("x := 1", 3, "cannot be read"),
        ("", 1, "cannot be read"),
    ],
)
def test_wrong_text_is_refused_with_the_place(text: str, position: int, words: str) -> None:
    with pytest.raises(ExpressionWrong) as wrong:
        compile_condition(text)
    assert wrong.value.position == position, str(wrong.value)
    assert words in str(wrong.value).lower()


@pytest.mark.parametrize(
    "text",
    [
        "(" * 400 + "True" + ")" * 400,
        "not " * 240 + "True",
        "-" * 900 + "1 > 0",
        "1+" * 450 + "1 > 0",
        "9" * 999,
        "'" + "x" * 900 + "' == card",
        "[" * 999,
        "x" * 1_001,
        "amount_minor in (" + "1," * 200 + ")",
        " and ".join(f"velocity('card', 'count', '{n}h') > 1" for n in range(1, 22)),
    ],
)
def test_what_is_too_long_or_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ExpressionWrong):
        compile_condition(text)


def _tried(text: str) -> tuple[Condition | None, int]:
    """What it compiles to, or where it is wrong."""
    try:
        return compile_condition(text), 1
    except ExpressionWrong as wrong:
        return None, wrong.position


def test_whatever_the_text_is_it_compiles_or_is_refused() -> None:
    chosen = random.Random(20260314)
    words = [
        *("amount_minor", "card", "cvc_ok", "velocity('card','count','1h')", "'x'", "1", "True"),
        *(
            "and",
            "or",
            "not",
            "in",
            "==",
            "<",
            "+",
            "*",
            "/",
            "-",
            "(",
            ")",
            "[",
            "]",
            ",",
            ".",
            ":=",
        ),
        *(
            "**",
            "lambda",
            "for",
            "if",
            "else",
            "await",
            "yield",
            "é",
            "\x00",
            "\ud800",
            "f'{1}'",
            "0x",
        ),
    ]
    compiled = 0
    for _ in range(3_000):
        text = " ".join(chosen.choices(words, k=chosen.randint(1, 9)))
        if chosen.random() < 0.2:
            text += chosen.choice(string.printable)
        condition, position = _tried(text)
        assert 1 <= position <= len(text) + 1
        if condition is None:
            continue
        compiled += 1
        assert isinstance(condition.holds(sample_context(features={"card.count.1h": 3})), bool)
    assert compiled > 20


class TestExpressionRule(RuleContract):
    def case(self) -> RuleCase:
        conditions = (
            OwnCondition(name="big", when="amount_minor > 1000", score=0.1),
            OwnCondition(name="far", when="ip_country == 'BR'", then="block", detail="far away"),
            OwnCondition(name="late", when="cvc_ok == False", then="challenge", stage="post_auth"),
            OwnCondition(
                name="often", when="velocity('card', 'count', '1h') > 3", then="challenge"
            ),
        )

        def of(**fields: Any) -> Any:
            return sample_context(**{"amount_minor": 5, **fields})

        return RuleCase(
            rule=ExpressionRule(),
            settings=ExpressionSettings(conditions=conditions),
            samples=[
                RuleSample(context=of(), verdict="allow"),
                RuleSample(context=of(amount_minor=1_001), verdict="review", reason="big"),
                RuleSample(
                    context=of(amount_minor=1_001, ip_country="BR", features=_KNOWN),
                    verdict="block",
                    reason="far",
                ),
                RuleSample(
                    context=of(amount_minor=1_001, features=_KNOWN),
                    verdict="challenge",
                    reason="often",
                ),
                RuleSample(context=of(stage="post_auth", cvc_ok=False), verdict="challenge"),
                RuleSample(context=of(stage="payout"), verdict="abstain"),
            ],
        )


def test_settings_declare_what_their_conditions_read() -> None:
    when = "velocity('card', 'count', '1h') > 1 or distinct('device', 'card', '1d') > 2"
    plain = {"conditions": [{"name": "one", "when": when}, {"name": "two", "when": when}]}
    settings = parse_settings(ExpressionSettings, plain)
    names = [feature.name for feature in ExpressionRule().features(settings)]
    assert names == ["card.count.1h", "device.distinct.card.1d"]
    assert parse_settings(ExpressionSettings, to_plain(settings)) == settings


@pytest.mark.parametrize(
    "condition",
    [
        {"name": "one", "when": "amount_minor >"},
        {"name": "One", "when": "True"},
        {"name": "one", "when": ""},
        {"name": "one", "when": "True", "score": 2},
        {"name": "one", "when": "True", "then": "explode"},
    ],
)
def test_settings_refuse_what_cannot_be_tried(condition: dict[str, Any]) -> None:
    fine = {"name": "fine", "when": "True"}
    with pytest.raises(PluginSettingsInvalid) as refused:
        parse_settings(ExpressionSettings, {"conditions": [fine, condition]})
    assert refused.value.path[:2] == ("conditions", "1")


def test_two_conditions_of_one_name_are_refused() -> None:
    fine = {"name": "fine", "when": "True"}
    with pytest.raises(PluginSettingsInvalid, match="one name"):
        parse_settings(ExpressionSettings, {"conditions": [fine, fine]})
