"""How does a migration make a table belong to tenants?

The statements that every tenant-owned table needs, as texts for Alembic's `op.execute`. The first
revision spells them out itself; later ones take them from here.
"""

from __future__ import annotations

__all__ = ["PARTS", "isolated", "seen_by_worker"]

_SCOPE = "nullif(current_setting('app.tenant_id', true), '')::uuid"
#: For statements of functions: goes through the tenants of a batch, in `given`, and sets the scope
#: of each before its rows.
PARTS = (
    "jsonb_array_elements(given) AS part CROSS JOIN LATERAL "
    "set_config('app.tenant_id', part ->> 'tenant_id', true) AS scope"
)


def isolated(
    table: str, *, app_may: str = "SELECT, INSERT, UPDATE", batched: bool = False
) -> list[str]:
    """Row-level security, enabled and forced, and what the app role may do in its own tenant.

    What may be seen is compared with the scope once by each statement; of a `batched` table, whose
    rows are read or changed by statements that pass from one tenant's scope to the next, by each
    row. What is written is compared by each row.
    """
    seen = _SCOPE if batched else f"(SELECT {_SCOPE})"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY tenant_isolation ON {table} "
        f"USING (tenant_id = {seen}) WITH CHECK (tenant_id = {_SCOPE})",
        f"GRANT {app_may} ON {table} TO payengine_app",
    ]


def seen_by_worker(table: str, columns: str) -> list[str]:
    """The worker reads these columns of all tenants: ids, states and due times, no payload."""
    return [
        f"GRANT SELECT ({columns}) ON {table} TO payengine_worker",
        f"CREATE POLICY worker_queue ON {table} FOR SELECT TO payengine_worker USING (true)",
    ]
