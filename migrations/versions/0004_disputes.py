"""Disputes, their evidence and what waits for a person.

Whoever flags a payment opens its review: a trigger does it, so that no way of flagging can forget.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op
from payengine.storage.isolate import isolated, seen_by_worker

revision = "0004"
down_revision = "0003"

#: Table → what the app may do with it; reports, evidence and actions are never changed.
_APP_MAY = {
    "dispute": "SELECT, INSERT, UPDATE",
    "dispute_evidence": "SELECT, INSERT",
    "dispute_report": "SELECT, INSERT",
    "dispute_step": "SELECT, INSERT, UPDATE",
    "review": "SELECT, INSERT, UPDATE",
    "review_action": "SELECT, INSERT",
}

_OPEN_REVIEW = """
    CREATE FUNCTION payment_opens_review() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('app.tenant_id', NEW.tenant_id::text, true);
    INSERT INTO review (tenant_id, id, payment_id, opened_at)
    VALUES (NEW.tenant_id, 'rev_' || substr(NEW.id, 5), NEW.id, NEW.updated_at)
    ON CONFLICT (tenant_id, id) DO UPDATE
    SET opened_at = excluded.opened_at, claimed_by = NULL, claimed_actor = NULL,
        claimed_until = NULL, closed_by = NULL, closed_actor = NULL, closed_at = NULL,
        version = review.version + 1
    WHERE review.closed_at IS NOT NULL;
    RETURN NULL; END $$
"""

_WHEN_FLAGGED = """
    CREATE TRIGGER payment_opens_review AFTER UPDATE OF needs_review, conflicted ON payment
    FOR EACH ROW WHEN ((NEW.needs_review OR NEW.conflicted)
                       AND NOT (OLD.needs_review OR OLD.conflicted))
    EXECUTE FUNCTION payment_opens_review()
"""


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    for statement in filter(str.strip, "\n".join(lines).split(";\n")):
        op.execute(statement)
    for table, may in _APP_MAY.items():
        for statement in isolated(table, app_may=may):
            op.execute(statement)
    for statement in (
        *seen_by_worker("dispute", "tenant_id, id, remind_at"),
        *seen_by_worker("dispute_step", "tenant_id, id, due_at"),
    ):
        op.execute(statement)
    op.execute(_OPEN_REVIEW)
    op.execute(_WHEN_FLAGGED)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
