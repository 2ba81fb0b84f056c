"""The screen finds card numbers however they are written, and lets other numbers pass."""

from __future__ import annotations

import random
import time
import timeit
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payengine.errors import SensitiveDataRefused
from payengine.ids import new_id
from payengine.plugin import NetworkToken, PaymentMethod
from payengine.screen import contains_card_number, redact, screen_mapping
from payengine_tenants.secret import new_secret

#: What the card schemes publish for tests, one per issuer and length.
NUMBERS = (
    "4111111111111111",
    "4222222222222",
    "4012888888881881",
    "4000000000000000006",
    "5555555555554444",
    "5105105105105100",
    "2223000048400011",
    "2720992593319364",
    "378282246310005",
    "371449635398431",
    "6011111111111117",
    "6441111111111117",
    "6500000000000002",
    "3530111333300000",
    "3566002020360505",
    "30569309025904",
    "36006666333344",
    "38520000023237",
    "6240008631401148",
    "6205500000000000004",
    "6759649826438453",
    "6304000000000000",
    "5000550000000029",
    "6799990100000000019",
)
WRITTEN = (
    "{}",
    "card: {}",
    '{{"number":"{}"}}',
    "{}.",
    "({})",
    "card_{}",
    "pan={}&cvc=123",
    "{} 12/30",
    "{} 12 30 123",
    "order 17 {}",
    "4 {}",
    "no.{}",
    "\n{}\n",
)


def check_digit(body: str) -> str:
    """The digit that makes body + digit satisfy Luhn, written anew from the standard's words."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value // 10 + value % 10
    return str(-total % 10)


def grouped(number: str, separator: str, size: int) -> str:
    return separator.join(number[at : at + size] for at in range(0, len(number), size))


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_of_every_issuer_are_found_however_written(number: str) -> None:
    for frame in WRITTEN:
        for shown in (number, *(grouped(number, s, n) for s in " -\u00a0–" for n in (1, 4, 6))):
            assert contains_card_number(frame.format(shown)), frame.format(shown)


@pytest.mark.parametrize("number", NUMBERS)
def test_redaction_removes_the_number_and_nothing_else(number: str) -> None:
    shown = grouped(number, " ", 4)
    assert redact(f"Declined {shown}, sorry. {number}!") == (
        "Declined [card number], sorry. [card number]!"
    )
    assert not contains_card_number(redact(f"{number} {shown}"))


@pytest.mark.parametrize("number", NUMBERS)
def test_a_wrong_check_digit_is_no_card_number(number: str) -> None:
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not contains_card_number(wrong)
    assert redact(wrong) == wrong


def test_other_alphabets_digits_are_digits() -> None:
    assert contains_card_number("".join(chr(0xFF10 + int(digit)) for digit in NUMBERS[0]))
    assert contains_card_number("".join(chr(0x0660 + int(digit)) for digit in NUMBERS[0]))


def test_digits_inside_words_and_fractions_pass() -> None:
    number = NUMBERS[0]
    for text in (
        f"a{number}",
        f"{number}a",
        f"x{number}x",
        f"1{number}000",
        f"0.{number}",
        f"{number[:8]}  {number[8:]}",
        f"{number[:8]}:{number[8:]}",
        number[:12],
        "",
    ):
        assert not contains_card_number(text), text


def test_numbers_of_no_issuer_pass() -> None:
    for body in ("100000000000000", "900000000000000", "000000000000000", "700000000000000"):
        assert not contains_card_number(body + check_digit(body))


@given(body=st.text("0123456789", min_size=15, max_size=15))
def test_a_number_is_found_exactly_when_its_check_digit_fits(body: str) -> None:
    number = "4" + body
    assert contains_card_number(number) == (check_digit(number[:-1]) == number[-1])


@given(text=st.text(max_size=60))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(f"{text} 4111111111111111")
    assert redact(once) == once
    assert not contains_card_number(once)


def test_realistic_identifiers_are_taken_for_cards_at_most_once_in_a_thousand() -> None:
    seeded = random.Random(20_261_123)
    began = datetime(2020, 1, 1, tzinfo=UTC)
    rounds = 20_000
    makers: dict[str, Callable[[], str]] = {
        "uuid": lambda: str(uuid.UUID(int=seeded.getrandbits(128), version=4)),
        "hex": lambda: f"{seeded.getrandbits(128):032x}",
        "our id": lambda: new_id("pay"),
        "our key": lambda: new_secret(new_id("key"), mode="test"),
        "seconds": lambda: str(seeded.randrange(10**9, 2 * 10**9)),
        "milliseconds": lambda: str(seeded.randrange(10**12, 2 * 10**12)),
        "microseconds": lambda: str(seeded.randrange(10**15, 2 * 10**15)),
        "nanoseconds": lambda: str(seeded.randrange(10**18, 2 * 10**18)),
        "date and time": lambda: str(began + timedelta(seconds=seeded.random() * 10**9)),
        "compact time": lambda: (
            f"{began + timedelta(seconds=seeded.random() * 3 * 10**8):%Y%m%d%H%M%S%f}"
        ),
        "compact seconds": lambda: (
            f"{began + timedelta(seconds=seeded.random() * 3 * 10**8):%Y%m%d%H%M%S}"
        ),
        "order number": lambda: f"{seeded.randrange(10**4, 10**12)}",
        "order of the year": lambda: f"ORD-2026-{seeded.randrange(10**8):08d}",
        "dated order": lambda: f"202611{seeded.randrange(31):02d}-{seeded.randrange(10**6):06d}",
        "fraction": lambda: repr(seeded.random()),
        "telephone": lambda: f"+1 {seeded.randrange(200, 999)} {seeded.randrange(10**7):07d}",
        "address": lambda: ".".join(str(seeded.randrange(256)) for _ in range(4)),
    }
    for kind, make in makers.items():
        found = sum(contains_card_number(make()) for _ in range(rounds))
        assert found <= rounds // 1000, f"{kind}: {found} of {rounds}"


def test_nested_data_is_screened_and_the_place_is_named() -> None:
    number = NUMBERS[0]
    for plain, path in (
        ({"a": {"b": ["x", f"no {number}"]}}, ("metadata", "a", "b", "1")),
        ({"a": [1, int(number)]}, ("metadata", "a", "1")),
        ({"a": {number: "x"}}, ("metadata", "a")),
        ({"a": ({"b": {number}},)}, ("metadata", "a", "0", "b")),
        (number, ("metadata",)),
    ):
        with pytest.raises(SensitiveDataRefused) as refused:
            screen_mapping(plain, path=("metadata",))
        assert refused.value.path == path
        assert number not in str(refused.value)


def test_records_and_bytes_are_screened_and_a_network_token_alone_passes() -> None:
    number = NUMBERS[0]
    held = NetworkToken(
        number=number, expiry_month=1, expiry_year=2031, cryptogram="AAAA", wallet="purse"
    )
    screen_mapping({"method": PaymentMethod(token="t", network_token=held), "tokens": [held]})
    for plain, path in (
        ({"m": PaymentMethod(token=number, network_token=held)}, ("m", "token")),
        ({"m": [number.encode()]}, ("m", "0")),
        ({"m": bytearray(f"no {number}", "ascii")}, ("m",)),
    ):
        with pytest.raises(SensitiveDataRefused) as refused:
            screen_mapping(plain)
        assert refused.value.path == path


def test_clean_and_deep_data_pass() -> None:
    deep: list[object] = []
    for _ in range(50_000):
        deep = [deep]
    screen_mapping({"order": "17", "paid": True, "sum": 1.5, "none": None, "n": 10**12 - 1})
    screen_mapping(deep)


def test_texts_without_thirteen_digits_cost_next_to_nothing() -> None:
    for text in ("Ada Lovelace", "pay_0j8q3c1r7vdq5l2m9k4t6b8n0p", "4111 1111", str(uuid.uuid4())):
        assert not contains_card_number(text)
        look = partial(contains_card_number, text)
        best = min(timeit.repeat(look, timer=time.thread_time, number=2000))
        assert best / 2000 < 1e-4, text  # a wide bound: it takes a fraction of a microsecond


def test_hostile_texts_take_linear_time() -> None:
    for unit in ("1", "1 ", "1-1a", "4111111111111111 ", "4" * 19 + " "):
        text = unit * (200_000 // len(unit))
        # Were it quadratic, it would be minutes.
        assert timeit.timeit(partial(redact, text), timer=time.thread_time, number=1) < 20.0
