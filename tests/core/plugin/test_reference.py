"""Is the plugin that the reference shows a whole one?"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from types import ModuleType

from payengine.plugin import Amount, Authorize, Call, PaymentMethod, parse_settings
from payengine.registry import Guard, InstalledPlugins

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "plugins.md"


def shown_plugin() -> ModuleType:
    """The page's Python as a module."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    module = ModuleType("payengine_acme")
    exec(compile(code, str(PAGE), "exec", dont_inherit=True), vars(module))
    return module


async def test_shown_plugin_loads_and_takes_a_payment() -> None:
    plugins = InstalledPlugins.load(extra={"acme": shown_plugin()}, discover=False)
    assert plugins.infos[0].status == "ready", plugins.infos[0].reason
    acme = plugins.gateway("acme")
    settings = parse_settings(acme.manifest.settings, {"api_key": "k"})
    answer = await Guard().call(
        uuid.uuid4(),
        acme.gateway,
        acme.manifest,
        Call(account="a", settings=settings, deadline_ms=500),
        "authorize",
        Authorize(
            key="op_1",
            amount=Amount(1_000, "EUR"),
            capture=True,
            payment_method=PaymentMethod(token="tok"),
            payment_id="pay_1",
        ),
    )
    assert answer.kind == "outcome", answer
