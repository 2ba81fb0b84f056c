"""How are the ledger's balances shown?"""

from __future__ import annotations

import strawberry
from payengine.ledger import AccountBalance

from payengine_graphql.scalars import Currency
from payengine_graphql.types.fields import column, computed
from payengine_graphql.types.money import Money, money

__all__ = ["LedgerBalance"]


@strawberry.type(description="What stands on one account of the ledger in one currency.")
class LedgerBalance:
    """See the description."""

    row: strawberry.Private[AccountBalance]
    account: str = column("The account's name, such as `merchant_payable`.")
    currency: Currency = column("The currency; an account has one balance in each.")
    type: str = column("`asset`, `liability`, `income` or `expense`: which side raises it.")

    @computed("The balance on the account's own side; pending is left out.")
    def balance(self) -> Money:
        """Posted."""
        return money(self.row.balance, self.row.currency)

    @computed("The sum of posted debits.")
    def posted_debits(self) -> Money:
        """Of all time."""
        return money(self.row.posted_debits, self.row.currency)

    @computed("The sum of posted credits.")
    def posted_credits(self) -> Money:
        """Of all time."""
        return money(self.row.posted_credits, self.row.currency)

    @computed("The sum of debits that are reserved and not posted yet.")
    def pending_debits(self) -> Money:
        """Open holds."""
        return money(self.row.pending_debits, self.row.currency)

    @computed("The sum of credits that are reserved and not posted yet.")
    def pending_credits(self) -> Money:
        """Open holds."""
        return money(self.row.pending_credits, self.row.currency)
