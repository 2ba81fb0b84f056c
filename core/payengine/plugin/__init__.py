"""What does a plugin author write?

Everything that a plugin may import stands here; nothing here imports the engine. A gateway plugin
is a class with the methods of `Gateway` and one function:

    from payengine.plugin import hookimpl

    @hookimpl
    def gateways():
        return [MyGateway()]
"""

from __future__ import annotations

from payengine.plugin.declines import DECLINE_CODES, DeclineClass, DeclineRule, decline_rule
from payengine.plugin.gateway import Disputes, Gateway, Increments, Statement
from payengine.plugin.hooks import ENTRY_POINT_GROUP, HookSpecs, hookimpl, hookspec
from payengine.plugin.manifest import CONTRACT_VERSION, Manifest, OperationKind, supports
from payengine.plugin.messages import (
    AcceptDispute,
    Amount,
    Authorize,
    Call,
    Capture,
    Decline,
    DisputeEvent,
    DisputeEvidence,
    DisputeReport,
    DisputeStatus,
    EvidenceFile,
    EvidenceText,
    Increment,
    Lookup,
    Message,
    Movement,
    NextAction,
    NotSent,
    Outcome,
    OutcomeStatus,
    PaymentMethod,
    Refund,
    Void,
    WebhookEvent,
    WebhookRefused,
    WebhookRequest,
    from_plain,
    to_plain,
)
from payengine.plugin.network_token import NetworkToken
from payengine.plugin.saving import (
    ForgetMethod,
    LookupMethod,
    SavedToken,
    SaveMethod,
    SavesMethods,
)
from payengine.plugin.settings import (
    PluginSettings,
    Secret,
    parse_settings,
    secret_fields,
    settings_schema,
)
from payengine.plugin.wallet import (
    ApprovedAmount,
    OpenedToken,
    OpenToken,
    StartSession,
    Wallet,
    WalletManifest,
    WalletRefusal,
    WalletRefused,
    WalletSession,
    WalletSessions,
)

__all__ = [
    "CONTRACT_VERSION",
    "DECLINE_CODES",
    "ENTRY_POINT_GROUP",
    "AcceptDispute",
    "Amount",
    "ApprovedAmount",
    "Authorize",
    "Call",
    "Capture",
    "Decline",
    "DeclineClass",
    "DeclineRule",
    "DisputeEvent",
    "DisputeEvidence",
    "DisputeReport",
    "DisputeStatus",
    "Disputes",
    "EvidenceFile",
    "EvidenceText",
    "ForgetMethod",
    "Gateway",
    "HookSpecs",
    "Increment",
    "Increments",
    "Lookup",
    "LookupMethod",
    "Manifest",
    "Message",
    "Movement",
    "NetworkToken",
    "NextAction",
    "NotSent",
    "OpenToken",
    "OpenedToken",
    "OperationKind",
    "Outcome",
    "OutcomeStatus",
    "PaymentMethod",
    "PluginSettings",
    "Refund",
    "SaveMethod",
    "SavedToken",
    "SavesMethods",
    "Secret",
    "StartSession",
    "Statement",
    "Void",
    "Wallet",
    "WalletManifest",
    "WalletRefusal",
    "WalletRefused",
    "WalletSession",
    "WalletSessions",
    "WebhookEvent",
    "WebhookRefused",
    "WebhookRequest",
    "decline_rule",
    "from_plain",
    "hookimpl",
    "hookspec",
    "parse_settings",
    "secret_fields",
    "settings_schema",
    "supports",
    "to_plain",
]
