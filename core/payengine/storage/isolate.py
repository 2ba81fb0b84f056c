"""How does a migration make a table belong to tenants?

The statements that every tenant-owned table needs, as texts for Alembic's `op.execute`. The first
revision spells them out itself; later ones take them from here.
"""

from __future__ import annotations

__all__ = ["isolated", "seen_by_worker"]

_CURRENT = "(SELECT nullif(current_setting('app.tenant_id', true), '')::uuid)"


def isolated(table: str, *, app_may: str = "SELECT, INSERT, UPDATE") -> list[str]:
    """Row-level security, enabled and forced, and what the app role may do in its own tenant."""
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant_isolation ON {table} "
        f"USING (tenant_id = {_CURRENT}) WITH CHECK (tenant_id = {_CURRENT})",
        f"GRANT {app_may} ON {table} TO payengine_app",
    ]


def seen_by_worker(table: str, columns: str) -> list[str]:
    """The worker reads these columns of all tenants: ids, states and due times, no payload."""
    return [
        f"GRANT SELECT ({columns}) ON {table} TO payengine_worker",
        f"CREATE POLICY worker_queue ON {table} FOR SELECT TO payengine_worker USING (true)",
    ]
