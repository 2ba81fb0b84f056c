"""What if nobody here vouches for a plugin's code?

Then it runs in a plugin host: a process of its own for each distribution, with no secret of the
house in reach, that may be killed at any time. `HostedPlugin` (in `plugin`) offers its gateways and
wallets as if they were here; `child` is the program on the other side. Nothing is imported here,
because both sides read this module, and the other side is to hold as little as can be.
"""

from __future__ import annotations

__all__: list[str] = []
