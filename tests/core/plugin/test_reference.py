"""Is the plugin that the reference shows a whole one?"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from types import ModuleType

from payengine.plugin import Amount, Authorize, Call, PaymentMethod, parse_settings
from payengine.registry import Guard, InstalledPlugins
from payengine.testing import RuleCase, check_rule

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "plugins.md"


def shown_plugins() -> list[ModuleType]:
    """The page's Python blocks as modules: a gateway's and a fraud rule's."""
    modules = []
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        module = ModuleType("payengine_shown")
        exec(compile(code, str(PAGE), "exec", dont_inherit=True), vars(module))
        modules.append(module)
    return modules


async def test_shown_plugin_loads_and_takes_a_payment() -> None:
    gateway, _ = shown_plugins()
    plugins = InstalledPlugins.load(extra={"acme": gateway}, discover=False)
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


def test_shown_fraud_rule_loads_and_keeps_the_contract() -> None:
    _, rule = shown_plugins()
    plugins = InstalledPlugins.load(extra={"eager": rule}, discover=False)
    assert plugins.infos[0].status == "ready", plugins.infos[0].reason
    report = check_rule(RuleCase(rule=plugins.rules["eager"].rule))
    assert report.ok, report.failed
