"""Does the wallet keep the contract that every wallet inherits?"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from payengine.testing import WalletCase, WalletContract
from payengine_apple_pay.settings import ApplePaySettings
from payengine_apple_pay.testing import AppleOfTest
from payengine_apple_pay.wallet import ApplePayWallet

NOW = datetime(2030, 5, 6, 7, 8, 9, tzinfo=UTC)
APPLE = AppleOfTest(NOW)


class TestApplePay(WalletContract):
    def case(self) -> WalletCase:
        return WalletCase(
            wallet=ApplePayWallet(),
            settings=ApplePaySettings(**APPLE.settings),
            make_token=lambda at: json.dumps(APPLE.token()),
            at=NOW,
        )
