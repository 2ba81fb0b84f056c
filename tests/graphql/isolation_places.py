"""Which places of the API take an id, and how is each asked?"""

from __future__ import annotations

from typing import Any

from tests.graphql.collected_places import PLACES as COLLECTED
from tests.graphql.invoiced_places import PLACES as INVOICED
from tests.graphql.subscribed_places import PLACES

__all__ = ["COVERED", "COVERED_ELSEWHERE", "ENDPOINT", "mutation"]

#: Where the schema takes an id → the document, and the variables with the id at `$`.
COVERED: dict[str, tuple[str, dict[str, Any]]] = {
    "Query.payment(id)": ("query($id: ID!) { payment(id: $id) { id status } }", {"id": "$pay"}),
    "Query.customer(id)": ("query($id: ID!) { customer(id: $id) { id name } }", {"id": "$cus"}),
    "Query.node(id)": ("query($id: ID!) { node(id: $id) { id } }", {"id": "$pm"}),
    "Query.nodes(ids)": (
        "query($ids: [ID!]!) { nodes(ids: $ids) { id } }",
        {
            "ids": [
                "$pay",
                "$cus",
                "$pm",
                "$op",
                "$ref",
                "$whe",
                "$whd",
                "$whr",
                "$gwe",
                "$rwh",
                "$rtp",
                "$fle",
                "$fal",
                "$dsp",
                "$rev",
                "$acc",
                "$spr",
                "$esc",
                "$atr",
                "$fxq",
                "$fxc",
                "$stf",
                "$sti",
                "$po",
            ]
        },
    ),
    "PaymentFilterInput.customerId": (
        "query($filter: PaymentFilterInput) { payments(filter: $filter) { nodes { id } } }",
        {"filter": {"customerId": "$cus"}},
    ),
    "Query.payments(after)": (
        "query($after: String) { payments(after: $after) { nodes { id } } }",
        {"after": "$pay"},
    ),
    "Query.customers(after)": (
        "query($after: String) { customers(after: $after) { nodes { id } } }",
        {"after": "$cus"},
    ),
    "Query.apiKeys(after)": (
        "query($after: String) { apiKeys(after: $after) { nodes { name } } }",
        {"after": "$key"},
    ),
}


def mutation(name: str, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    title = name[0].upper() + name[1:]
    document = (
        f"mutation($input: {title}Input!) {{ {name}(input: $input) {{ errors {{ code message path"
        " } } }"
    )
    return document, {"input": {"idempotencyKey": "$key()"} | given}


_PAY = {"amount": {"amountMinor": 5, "currency": "EUR"}}
COVERED |= {
    "CreatePaymentInput.customerId": mutation(
        "createPayment", _PAY | {"paymentMethod": {"token": "tok_visa"}, "customerId": "$cus"}
    ),
    "CreatePaymentInput.savedPaymentMethodId": mutation(
        "createPayment", _PAY | {"savedPaymentMethodId": "$pm"}
    ),
    "ConfirmPaymentInput.paymentId": mutation("confirmPayment", {"paymentId": "$pay"}),
    "ConfirmPaymentInput.savedPaymentMethodId": mutation(
        "confirmPayment", {"paymentId": "$declined", "savedPaymentMethodId": "$pm"}
    ),
    "CapturePaymentInput.paymentId": mutation("capturePayment", {"paymentId": "$pay"}),
    "VoidPaymentInput.paymentId": mutation("voidPayment", {"paymentId": "$pay"}),
    "RefundPaymentInput.paymentId": mutation("refundPayment", {"paymentId": "$pay"}),
    "IncrementAuthorizationInput.paymentId": mutation(
        "incrementAuthorization", {"paymentId": "$pay", "amountMinor": 5}
    ),
    "UpdateCustomerInput.customerId": mutation(
        "updateCustomer", {"customerId": "$cus", "name": "mine now"}
    ),
    "SavePaymentMethodInput.customerId": mutation(
        "savePaymentMethod", {"customerId": "$cus", "token": "tok_visa", "label": "x"}
    ),
    "DetachPaymentMethodInput.paymentMethodId": mutation(
        "detachPaymentMethod", {"paymentMethodId": "$pm"}
    ),
    "RevokeApiKeyInput.apiKeyId": mutation("revokeApiKey", {"apiKeyId": "$key"}),
}

ENDPOINT = {"webhookEndpointId": "$whe"}
_DELIVERIES = (
    "query($id: ID!, $after: String, $filter: WebhookDeliveryFilterInput) { webhookDeliveries("
    "webhookEndpointId: $id, after: $after, filter: $filter) { nodes { id attempts { error } } } }"
)
COVERED |= {
    "Query.webhookEndpoint(id)": (
        "query($id: ID!) { webhookEndpoint(id: $id) { id url secrets { lastFour } } }",
        {"id": "$whe"},
    ),
    "Query.webhookEndpoints(after)": (
        "query($after: String) { webhookEndpoints(after: $after) { nodes { id } } }",
        {"after": "$whe"},
    ),
    "Query.webhookDeliveries(webhookEndpointId)": (_DELIVERIES, {"id": "$whe"}),
    "Query.webhookDeliveries(after)": (_DELIVERIES, {"id": "$my whe", "after": "$whd"}),
    "WebhookDeliveryFilterInput.eventId": (
        _DELIVERIES,
        {"id": "$my whe", "filter": {"eventId": "$evt"}},
    ),
    "UpdateWebhookEndpointInput.webhookEndpointId": mutation(
        "updateWebhookEndpoint", ENDPOINT | {"url": "https://mine.example.invalid/"}
    ),
    "EnableWebhookEndpointInput.webhookEndpointId": mutation("enableWebhookEndpoint", ENDPOINT),
    "DisableWebhookEndpointInput.webhookEndpointId": mutation("disableWebhookEndpoint", ENDPOINT),
    "DeleteWebhookEndpointInput.webhookEndpointId": mutation("deleteWebhookEndpoint", ENDPOINT),
    "RotateWebhookSecretInput.webhookEndpointId": mutation("rotateWebhookSecret", ENDPOINT),
    "SendTestWebhookInput.webhookEndpointId": mutation("sendTestWebhook", ENDPOINT),
    "RedeliverWebhookInput.webhookEndpointId": mutation(
        "redeliverWebhook", ENDPOINT | {"since": "$instant()"}
    ),
    "RedeliverWebhookInput.eventId": mutation(
        "redeliverWebhook", {"webhookEndpointId": "$my whe", "eventId": "$evt"}
    ),
}

COVERED |= {
    "Query.routingPolicy(id)": (
        "query($id: ID!) { routingPolicy(id: $id) { id version reason actor } }",
        {"id": "$rtp"},
    ),
    "Query.routingPolicies(after)": (
        "query($after: String) { routingPolicies(after: $after) { nodes { id } } }",
        {"after": "$rtp"},
    ),
    "ActivateRoutingPolicyInput.routingPolicyId": mutation(
        "activateRoutingPolicy", {"routingPolicyId": "$rtp", "reason": "it is theirs"}
    ),
}

COVERED |= {
    "Query.receivedWebhook(id)": (
        "query($id: ID!) { receivedWebhook(id: $id) { id eventId gateway } }",
        {"id": "$rwh"},
    ),
    "Query.webhookRequest(id)": (
        "query($id: ID!) { webhookRequest(id: $id) { id body } }",
        {"id": "$rwh"},
    ),
    "Query.gatewayEndpoints(after)": (
        "query($after: String) { gatewayEndpoints(after: $after) { nodes { id } } }",
        {"after": "$gwe"},
    ),
    "Query.receivedWebhooks(after)": (
        "query($after: String) { receivedWebhooks(after: $after) { nodes { id } } }",
        {"after": "$rwh"},
    ),
    "ReceivedWebhookFilterInput.paymentId": (
        "query($filter: ReceivedWebhookFilterInput) { receivedWebhooks(filter: $filter)"
        " { nodes { id } } }",
        {"filter": {"paymentId": "$pay"}},
    ),
    "RevokeGatewayEndpointInput.gatewayEndpointId": mutation(
        "revokeGatewayEndpoint", {"gatewayEndpointId": "$gwe"}
    ),
    "ReplayWebhookInput.receivedWebhookId": mutation(
        "replayWebhook", {"receivedWebhookId": "$rwh"}
    ),
}

_DISPUTE = {"disputeId": "$dsp"}
_REVIEW = {"reviewId": "$rev", "person": "Ada"}
_SETTLED = {"outcome": "DECLINED", "reason": "as their site shows", "person": "Ada"}
COVERED |= {
    "Query.dispute(id)": (
        "query($id: ID!) { dispute(id: $id) { id status reports { eventId } payment { id } } }",
        {"id": "$dsp"},
    ),
    "Query.disputes(after)": (
        "query($after: String) { disputes(after: $after) { nodes { id } } }",
        {"after": "$dsp"},
    ),
    "DisputeFilterInput.paymentId": (
        "query($filter: DisputeFilterInput) { disputes(filter: $filter) { nodes { id } } }",
        {"filter": {"paymentId": "$disputed"}},
    ),
    "AddDisputeEvidenceInput.disputeId": mutation(
        "addDisputeEvidence", _DISPUTE | {"category": "OTHER", "text": "mine"}
    ),
    "SubmitDisputeEvidenceInput.disputeId": mutation("submitDisputeEvidence", _DISPUTE),
    "AcceptDisputeInput.disputeId": mutation("acceptDispute", _DISPUTE),
    "Query.review(id)": (
        "query($id: ID!) { review(id: $id) { id reasons payment { id } evidence { id } } }",
        {"id": "$rev"},
    ),
    "Query.reviews(after)": (
        "query($after: String) { reviews(after: $after) { nodes { id } } }",
        {"after": "$rev"},
    ),
    "ClaimReviewInput.reviewId": mutation("claimReview", _REVIEW),
    "ReleaseReviewInput.reviewId": mutation("releaseReview", _REVIEW),
    "CloseReviewInput.reviewId": mutation("closeReview", _REVIEW | {"reason": "seen"}),
    "SettleReviewInput.reviewId": mutation(
        "settleReview", _SETTLED | {"reviewId": "$rev", "operationId": "$my op"}
    ),
    "SettleReviewInput.operationId": mutation(
        "settleReview", _SETTLED | {"reviewId": "$my rev", "operationId": "$op"}
    ),
}

COVERED |= {
    "Query.fraudListEntry(id)": (
        "query($id: ID!) { fraudListEntry(id: $id) { id label reason person } }",
        {"id": "$fle"},
    ),
    "Query.fraudListEntries(after)": (
        "query($after: String) { fraudListEntries(after: $after) { nodes { id label } } }",
        {"after": "$fle"},
    ),
    "Query.fraudAlert(id)": (
        "query($id: ID!) { fraudAlert(id: $id) { id kind subject openedAt } }",
        {"id": "$fal"},
    ),
    "Query.fraudAlerts(after)": (
        "query($after: String) { fraudAlerts(after: $after) { nodes { id kind } } }",
        {"after": "$fal"},
    ),
    "Query.paymentFraudDecisions(id)": (
        "query($id: ID!) { paymentFraudDecisions(id: $id) { paymentId verdict outcomes { isFraud }"
        " } }",
        {"id": "$pay"},
    ),
    "AddFraudListEntryInput.paymentId": mutation(
        "addFraudListEntry",
        {"list": "BLOCK", "kind": "CARD", "paymentId": "$pay", "person": "Ada", "reason": "seen"},
    ),
    "RemoveFraudListEntryInput.fraudListEntryId": mutation(
        "removeFraudListEntry", {"fraudListEntryId": "$fle", "person": "Ada", "reason": "mine"}
    ),
    "ReportFraudOutcomeInput.paymentId": mutation(
        "reportFraudOutcome", {"paymentId": "$pay", "isFraud": True}
    ),
    "DecideReviewInput.reviewId": mutation(
        "decideReview", _REVIEW | {"decision": "APPROVED", "reason": "seen"}
    ),
}

_SALE = _PAY | {"paymentMethod": {"token": "tok_visa"}}
_REST = [{"accountId": "$acc", "remainder": True}]
COVERED |= {
    "Query.connectedAccount(id)": (
        "query($id: ID!) { connectedAccount(id: $id) { id reference checks { actor }"
        " balances { currency } } }",
        {"id": "$acc"},
    ),
    "Query.connectedAccounts(after)": (
        "query($after: String) { connectedAccounts(after: $after) { nodes { id } } }",
        {"after": "$acc"},
    ),
    "ConnectedAccount.reserves(after)": (
        "query($id: ID!, $after: String) { connectedAccount(id: $id) { status"
        " reserves(after: $after) { nodes { paymentId } } } }",
        {"id": "$my acc", "after": "$rsv"},
    ),
    "Query.splitRules(after)": (
        "query($after: String) { splitRules(after: $after) { nodes { id } } }",
        {"after": "$spr"},
    ),
    "Query.escrow(id)": (
        "query($id: ID!) { escrow(id: $id) { id status releases { actor } } }",
        {"id": "$esc"},
    ),
    "Query.escrows(after)": (
        "query($after: String) { escrows(after: $after) { nodes { id } } }",
        {"after": "$esc"},
    ),
    "Query.accountTransfers(after)": (
        "query($after: String) { accountTransfers(after: $after) { nodes { id } } }",
        {"after": "$atr"},
    ),
    "SplitPaymentInput.vendorId": mutation(
        "createPayment", _SALE | {"split": {"vendorId": "$acc", "commission": {"percentBps": 1}}}
    ),
    "SplitShareInput.accountId": mutation("createPayment", _SALE | {"split": {"shares": _REST}}),
    "ArchiveSplitRuleInput.ruleId": mutation("archiveSplitRule", {"ruleId": "$spr"}),
    "ReleaseEscrowInput.escrowId": mutation("releaseEscrow", {"escrowId": "$esc"}),
    "RecordDeliveryInput.escrowId": mutation("recordDelivery", {"escrowId": "$esc"}),
    "AcceptMilestoneInput.escrowId": mutation("acceptMilestone", {"escrowId": "$esc"}),
    "CreateAccountTransferInput.sourceId": mutation(
        "createAccountTransfer", _PAY | {"sourceId": "$acc"}
    ),
    "CreateAccountTransferInput.targetId": mutation(
        "createAccountTransfer", _PAY | {"targetId": "$acc"}
    ),
    "UpdateConnectedAccountInput.accountId": mutation(
        "updateConnectedAccount", {"accountId": "$acc", "country": "FR"}
    ),
    "DecideOnboardingInput.accountId": mutation(
        "decideOnboarding", {"accountId": "$acc", "verdict": "REJECTED", "person": "Ada"}
    ),
}
COVERED |= {
    f"{step}ConnectedAccountInput.accountId": mutation(
        f"{step.lower()}ConnectedAccount", {"accountId": "$acc"}
    )
    for step in ("Submit", "Suspend", "Resume", "Close")
}

_NAMED = {"person": "Ada", "reason": "seen"}
_PAID_OUT = {"accountId": "$acc", "currency": "EUR"}
COVERED |= {
    "Query.payout(id)": (
        "query($id: ID!) { payout(id: $id) { id batch { id } destination { id } } }",
        {"id": "$po"},
    ),
    "Query.payouts(after)": (
        "query($after: String) { payouts(after: $after) { nodes { id } } }",
        {"after": "$po"},
    ),
    "PayoutFilterInput.accountId": (
        "query($filter: PayoutFilterInput) { payouts(filter: $filter) { nodes { id } } }",
        {"filter": {"accountId": "$acc"}},
    ),
    "PayoutFilterInput.batchId": (
        "query($filter: PayoutFilterInput) { payouts(filter: $filter) { nodes { id } } }",
        {"filter": {"batchId": "$pob"}},
    ),
    "CreatePayoutInput.accountId": mutation("createPayout", _PAID_OUT),
    "CancelPayoutInput.payoutId": mutation("cancelPayout", {"payoutId": "$po", "reason": "x"}),
    "ReleasePayoutInput.payoutId": mutation("releasePayout", _NAMED | {"payoutId": "$po"}),
    "SettlePayoutInput.payoutId": mutation(
        "settlePayout", _NAMED | {"payoutId": "$po", "outcome": "FAILED"}
    ),
    "SavePayoutDestinationInput.accountId": mutation(
        "savePayoutDestination",
        _PAID_OUT | {"rail": "sandbox", "kind": "token", "number": "acct_ok"},
    ),
    "SavePayoutScheduleInput.accountId": mutation(
        "savePayoutSchedule", _PAID_OUT | {"interval": "DAILY"}
    ),
    "PlacePayoutHoldInput.accountId": mutation("placePayoutHold", _NAMED | {"accountId": "$acc"}),
    "ReleasePayoutHoldInput.holdId": mutation("releasePayoutHold", _NAMED | {"holdId": "$phd"}),
}
COVERED |= {
    f"Query.{name}(accountId)": (
        f"query($id: ID!) {{ {name}(accountId: $id) {{ id }} }}",
        {"id": "$acc"},
    )
    for name in ("payoutDestinations", "payoutSchedules", "payoutHolds")
}

_ITEM = {"itemId": "$sti", "person": "Ada", "reason": "seen"}
COVERED |= {
    "Query.fxRates(after)": (
        "query($after: String) { fxRates(after: $after) { nodes { id rate } } }",
        {"after": "$fxr"},
    ),
    "Query.fxQuote(id)": ("query($id: ID!) { fxQuote(id: $id) { id midRate } }", {"id": "$fxq"}),
    "Query.fxQuotes(after)": (
        "query($after: String) { fxQuotes(after: $after) { nodes { id } } }",
        {"after": "$fxq"},
    ),
    "Query.conversion(id)": (
        "query($id: ID!) { conversion(id: $id) { id midRate } }",
        {"id": "$fxc"},
    ),
    "Query.conversions(after)": (
        "query($after: String) { conversions(after: $after) { nodes { id } } }",
        {"after": "$fxc"},
    ),
    "Query.conversions(paymentId)": (
        "query($id: ID) { conversions(paymentId: $id) { nodes { id } } }",
        {"id": "$pay"},
    ),
    "ConvertBalanceInput.quoteId": mutation("convertBalance", {"quoteId": "$fxq"}),
    "ConvertBalanceInput.paymentId": mutation(
        "convertBalance",
        {
            "source": {"amountMinor": 1, "currency": "EUR"},
            "targetCurrency": "USD",
            "paymentId": "$pay",
        },
    ),
    "Query.settlementFile(id)": (
        "query($id: ID!) { settlementFile(id: $id) { id name lineCount } }",
        {"id": "$stf"},
    ),
    "Query.settlementFiles(after)": (
        "query($after: String) { settlementFiles(after: $after) { nodes { id } } }",
        {"after": "$stf"},
    ),
    "Query.settlementLines(fileId)": (
        "query($id: ID!) { settlementLines(fileId: $id) { nodes { id lineKey } } }",
        {"id": "$stf"},
    ),
    "Query.settlementLines(after)": (
        "query($id: ID!, $after: String) { settlementLines(fileId: $id, after: $after)"
        " { nodes { id } } }",
        {"id": "$my stf", "after": "$stl"},
    ),
    "Query.settlementsOfPayment(paymentId)": (
        "query($id: ID!) { settlementsOfPayment(paymentId: $id) { id lineKey } }",
        {"id": "$pay"},
    ),
    "Query.settlementItem(id)": (
        "query($id: ID!) { settlementItem(id: $id) { id finding actions { person }"
        " line { lineKey } } }",
        {"id": "$sti"},
    ),
    "Query.settlementItems(after)": (
        "query($after: String) { settlementItems(after: $after) { nodes { id } } }",
        {"after": "$sti"},
    ),
    "SettlementItemFilterInput.fileId": (
        "query($filter: SettlementItemFilterInput) { settlementItems(filter: $filter)"
        " { nodes { id } } }",
        {"filter": {"fileId": "$stf"}},
    ),
    "AssignSettlementItemInput.itemId": mutation("assignSettlementItem", _ITEM),
    "SettleSettlementItemInput.itemId": mutation("settleSettlementItem", _ITEM),
}

#: Tried over a socket in test_sockets.py; an event's cursor is a place and names no object. A
#: decision's cursor is tried in test_fraud.py.
COVERED_ELSEWHERE = {
    "Query.ledgerTransfers(after)",  # a place in time, tried in test_settlements.py
    "Query.fraudDecisions(after)",
    "PaymentEventFilter.paymentId",
    "PaymentEventFilter.customerId",
    "Subscription.paymentEvents(after)",
    "Query.events(after)",
}


#: Tried in `test_subscribed`, all in one pair of worlds.
COVERED_ELSEWHERE |= PLACES.keys() | INVOICED.keys() | COLLECTED.keys()
