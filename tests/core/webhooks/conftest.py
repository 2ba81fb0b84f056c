"""The database that these tests send from."""

from __future__ import annotations

from tests.posts import post, webhook_home

__all__ = ["post", "webhook_home"]
