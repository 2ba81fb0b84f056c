"""Is the ledger whole?

Every sum is computed again from the transfers alone and compared with what the ledger answers.
"""

from __future__ import annotations

import uuid

from payengine.ledger.balances import STANDING, SUMS, account_effects, trial_balance
from payengine.storage import Session

__all__ = ["broken"]

_EVERYTHING = "(SELECT DISTINCT transaction_id FROM ledger_transfer WHERE tenant_id = $1)"
_MOST_FINDINGS = 100

_DIFFERING = f"""
    WITH kept AS ({STANDING}), counted AS (
        SELECT account, currency, {", ".join(f"sum({name})::bigint AS {name}" for name in SUMS)}
        FROM ({account_effects(_EVERYTHING)}) AS effects
        GROUP BY account, currency
    )
    SELECT account, currency,
           {", ".join(f"coalesce(kept.{name}, 0) AS kept_{name}" for name in SUMS)},
           {", ".join(f"coalesce(counted.{name}, 0) AS counted_{name}" for name in SUMS)}
    FROM kept FULL JOIN counted USING (account, currency)
    WHERE {" OR ".join(f"coalesce(kept.{n}, 0) <> coalesce(counted.{n}, 0)" for n in SUMS)}
    ORDER BY account, currency LIMIT $2
"""

_MISDEALT = f"""
    WITH dealt AS (
        SELECT account, currency, {", ".join(f"sum({name})::bigint AS {name}" for name in SUMS)}
        FROM ledger_day WHERE tenant_id = $1 GROUP BY account, currency
    )
    SELECT account, currency FROM dealt
    FULL JOIN (SELECT * FROM ledger_rollup WHERE tenant_id = $1) AS kept USING (account, currency)
    WHERE {" OR ".join(f"coalesce(kept.{n}, 0) <> coalesce(dealt.{n}, 0)" for n in SUMS)}
    ORDER BY account, currency LIMIT $2
"""

_OVERDRAWN_HOLDS = """
    SELECT r.transaction_id, r.line
    FROM ledger_transfer r
    LEFT JOIN ledger_transfer p
        ON p.tenant_id = $1 AND p.transaction_id = r.pending_transaction_id
        AND p.line = r.pending_line
    WHERE r.tenant_id = $1 AND r.phase IN ('post', 'void')
      AND (p.phase IS DISTINCT FROM 'pending' OR r.amount_minor > p.amount_minor
           OR (r.debit_account, r.credit_account, r.currency)
              IS DISTINCT FROM (p.debit_account, p.credit_account, p.currency))
    ORDER BY r.transaction_id, r.line LIMIT $2
"""

_LOST_TAIL = """
    SELECT l.transaction_id FROM ledger_tail l
    WHERE l.tenant_id = $1 AND NOT EXISTS (
        SELECT FROM ledger_transfer t
        WHERE t.tenant_id = $1 AND t.transaction_id = l.transaction_id)
    ORDER BY l.transaction_id LIMIT $2
"""


async def broken(session: Session, tenant_id: uuid.UUID) -> list[str]:
    """What is wrong with the tenant's ledger, a sentence each; at most 100 of each kind."""
    findings: list[str] = []
    for row in await session.fetch(_DIFFERING, tenant_id, _MOST_FINDINGS):
        kept, counted = ([row[f"{of}_{name}"] for name in SUMS] for of in ("kept", "counted"))
        findings.append(
            f"ledger: {row['account']}/{row['currency']} stands at {kept}, its transfers sum to "
            f"{counted} ({', '.join(SUMS)})"
        )
    findings += [
        f"ledger: {each.currency} has debits of {each.debits} and credits of {each.credits}"
        for each in await trial_balance(session, tenant_id)
        if each.debits != each.credits
    ]
    findings += [
        f"ledger: the days of {row['account']}/{row['currency']} do not sum to where it stands"
        for row in await session.fetch(_MISDEALT, tenant_id, _MOST_FINDINGS)
    ]
    findings += [
        f"ledger: line {row['line']} of {row['transaction_id']} does not fit the pending transfer "
        "that it ends"
        for row in await session.fetch(_OVERDRAWN_HOLDS, tenant_id, _MOST_FINDINGS)
    ]
    findings += [
        f"ledger: the tail names {row['transaction_id']}, which does not exist"
        for row in await session.fetch(_LOST_TAIL, tenant_id, _MOST_FINDINGS)
    ]
    return findings
