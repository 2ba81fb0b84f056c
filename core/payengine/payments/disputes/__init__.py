"""What if the buyer asks the bank for the money back?

`Disputes` is the door: providers report, merchants answer with evidence or give up. `folding` and
`inputs` are pure, `recording` moves payment and books, `sending` asks the gateway.
"""

from __future__ import annotations

from payengine.payments.disputes.inputs import (
    AcceptDispute,
    AddDisputeEvidence,
    FileInput,
    SubmitDisputeEvidence,
)
from payengine.payments.disputes.models import (
    Dispute,
    DisputeFilter,
    Evidence,
    OpenedEvidence,
    Report,
    Step,
)
from payengine.payments.disputes.service import Disputes

__all__ = [
    "AcceptDispute",
    "AddDisputeEvidence",
    "Dispute",
    "DisputeFilter",
    "Disputes",
    "Evidence",
    "FileInput",
    "OpenedEvidence",
    "Report",
    "Step",
    "SubmitDisputeEvidence",
]
