"""What do the clients of the benchmark ask for?"""

from __future__ import annotations

__all__ = ["CUSTOMER", "FEED", "ONE", "PAGE", "PAY", "RULES", "SAVE_RULE"]

PAY = """mutation Pay($input: CreatePaymentInput!) {
  createPayment(input: $input) { payment { id status } errors { code message } }
}"""

ONE = """query One($id: ID!) {
  payment(id: $id) { id status amount { amountMinor currency } createdAt }
}"""

PAGE = """query Page {
  payments(first: 20) {
    edges { cursor node {
      id status amount { amountMinor currency } createdAt
      customer { id name email }
      attempts { id number gateway createdAt }
    } }
    pageInfo { hasNextPage endCursor }
  }
}"""

CUSTOMER = """mutation Make($input: CreateCustomerInput!) {
  createCustomer(input: $input) { customer { id } errors { code message } }
}"""

FEED = """subscription Feed($after: String) {
  paymentEvents(after: $after) { type cursor occurredAt paymentId resync event { position } }
}"""

RULES = "{ fraudRules { name } }"

SAVE_RULE = """mutation Save($input: SaveFraudRuleInput!) {
  saveFraudRule(input: $input) { errors { code message } }
}"""
