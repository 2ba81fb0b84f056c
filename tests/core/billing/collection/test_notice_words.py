"""Are all letters whole in every language, and is nothing smuggled into them?"""

from __future__ import annotations

from typing import get_args

import pytest
from payengine.billing.collection.notice_words import letter_of
from payengine.plugin import NoticeKind

_KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)


@pytest.mark.parametrize("language", ["en", "de", "de-AT", "fr", "es", "xx"])
@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("ask", [None, "hard", "customer_action"])
def test_every_letter_is_whole(language: str, kind: NoticeKind, ask: str | None) -> None:
    letter = letter_of(
        kind,
        language=language,
        shop="Ada's shop",
        name="Ada {0}",
        number="INV-7",
        amount_minor=123_456,
        currency="JPY",
        ask=ask,
        link="https://pay.example/recover/x",
    )
    assert "Ada's shop" in letter.subject
    assert "INV-7" in letter.text
    assert "JPY" in letter.text
    assert "Ada {0}" in letter.text
    assert ("https://pay.example/recover/x" in letter.text) == (kind == "payment_failed")


def test_names_stay_on_their_line() -> None:
    letter = letter_of(
        "payment_failed",
        language="en",
        shop="Shop\r\nBcc: thief@example.com",
        name="Ada\n\nPay at https://evil.example",
        number="1",
        amount_minor=1,
        currency="EUR",
    )
    assert "\n" not in letter.subject
    assert letter.text.startswith("Hello Ada Pay at")
