"""What people do about fraud: lists, settings, reviews of what was held, and alerts.

Whoever holds a payment for review opens its review: a trigger does it, as it does for flags. An
entry of a list keeps what it was for ever, and only ends. A slot is a quarter of an hour in counts.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op
from payengine.storage.isolate import isolated, seen_by_worker

revision = "0012"
down_revision = "0008"

#: Table → what the app may do with it.
_APP_MAY = {
    "fraud_alert": "SELECT, INSERT, UPDATE",
    "fraud_list_entry": "SELECT, INSERT, UPDATE",
    "fraud_list_key": "SELECT, INSERT, DELETE",
    "fraud_setting": "SELECT, INSERT",
    "fraud_slot": "SELECT, INSERT, DELETE",
    "fraud_watch": "SELECT, INSERT, UPDATE",
}

_HELD = """
    CREATE FUNCTION payment_is_held() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('app.tenant_id', NEW.tenant_id::text, true);
    INSERT INTO review (tenant_id, id, payment_id, opened_at, kind, decide_by)
    SELECT NEW.tenant_id, 'rev_' || substr(NEW.id, 5), NEW.id, NEW.updated_at, 'fraud',
        NEW.updated_at + make_interval(mins => coalesce(
            (SELECT (document ->> 'review_minutes')::integer FROM fraud_setting
             WHERE tenant_id = NEW.tenant_id ORDER BY version DESC LIMIT 1), 1440))
    ON CONFLICT (tenant_id, id) DO UPDATE
    SET opened_at = excluded.opened_at, kind = 'fraud', decide_by = excluded.decide_by,
        decision = NULL, claimed_by = NULL, claimed_actor = NULL, claimed_until = NULL,
        closed_by = NULL, closed_actor = NULL, closed_at = NULL, version = review.version + 1;
    RETURN NULL; END $$
"""

#: One that was voided, say, waits for nobody any more; one that was decided is still carried out.
_LET_GO = """
    CREATE FUNCTION payment_is_let_go() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM set_config('app.tenant_id', NEW.tenant_id::text, true);
    UPDATE review SET decide_by = NULL, version = version + 1,
        closed_by = CASE WHEN NOT NEW.needs_review THEN 'engine' END,
        closed_actor = CASE WHEN NOT NEW.needs_review THEN 'engine' END,
        closed_at = CASE WHEN NOT NEW.needs_review THEN NEW.updated_at END
    WHERE tenant_id = NEW.tenant_id AND payment_id = NEW.id AND kind = 'fraud'
      AND closed_at IS NULL AND decision IS NULL;
    RETURN NULL; END $$
"""

_TRIGGERS = (
    "CREATE TRIGGER payment_is_held_at_once AFTER INSERT ON payment FOR EACH ROW"
    " WHEN (NEW.status = 'IN_REVIEW') EXECUTE FUNCTION payment_is_held()",
    "CREATE TRIGGER payment_is_held AFTER UPDATE OF status ON payment FOR EACH ROW"
    " WHEN (NEW.status = 'IN_REVIEW' AND OLD.status <> 'IN_REVIEW')"
    " EXECUTE FUNCTION payment_is_held()",
    "CREATE TRIGGER payment_is_let_go AFTER UPDATE OF status ON payment FOR EACH ROW"
    " WHEN (OLD.status = 'IN_REVIEW' AND NEW.status <> 'IN_REVIEW')"
    " EXECUTE FUNCTION payment_is_let_go()",
)


def upgrade() -> None:
    """Make everything; runs in one transaction."""
    script = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    for statement in filter(str.strip, "\n".join(lines).split(";\n")):
        op.execute(statement)
    for table, may in _APP_MAY.items():
        for statement in isolated(table, app_may=may, batched=table == "fraud_list_key"):
            op.execute(statement)
    for statement in (
        *seen_by_worker("fraud_watch", "tenant_id, due_at"),
        *seen_by_worker("review", "tenant_id, id, decide_by"),
        _HELD,
        _LET_GO,
        *_TRIGGERS,
    ):
        op.execute(statement)


def downgrade() -> None:
    """Migrations go forward only."""
    raise NotImplementedError("Migrations go forward only; restore a backup instead.")
