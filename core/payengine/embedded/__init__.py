"""Which servers run on this laptop, and who stops them?

async with running_servers(settings) as servers:
    ...  # servers.owner_url, servers.login_url, servers.redis_url
"""

from __future__ import annotations

from payengine.embedded.servers import Servers, forget, running_servers, stop_all

__all__ = ["Servers", "forget", "running_servers", "stop_all"]
