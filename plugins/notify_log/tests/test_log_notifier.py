"""Is a line written of each notice, without what is nobody's business?"""

from __future__ import annotations

import pytest
from payengine.plugin import Amount, Call, CustomerNotice
from payengine_notify_log.notifier import LogNotifier, LogSettings
from structlog.testing import capture_logs

_NOTICE = CustomerNotice(
    id="ntc_one",
    kind="payment_failed",
    invoice_id="inv_one",
    customer_id="cus_one",
    language="en",
    subject="Your payment did not go through",
    text="Hello Ada,",
    amount=Amount(1_200, "EUR"),
    email="ada@example.com",
    name="Ada",
    link="https://pay.example/recover/abc",
)


@pytest.mark.parametrize(
    ("mode", "show", "shown"),
    [("test", True, True), ("test", False, False), ("live", True, False)],
)
async def test_one_line_is_written(mode: str, show: bool, shown: bool) -> None:
    settings = LogSettings(show_link=show)
    call = Call(account="shop", settings=settings, deadline_ms=1_000, mode=mode)  # type: ignore[arg-type]
    with capture_logs() as lines:
        taken = await LogNotifier().notify(call, _NOTICE)
    (line,) = lines
    assert taken.reference == line["notice"] == "ntc_one"
    assert line["subject"] == _NOTICE.subject
    assert ("link" in line) == shown
    assert "ada" not in str(line).lower()
