"""Who may read this secret?

Secrets and personal data rest sealed under AES-256-GCM, bound to the tenant and to the cell that
holds them; each tenant has its own key, wrapped by the installation's master key.
"""

from __future__ import annotations

from payengine.vault.master import MasterKey
from payengine.vault.vault import Vault

__all__ = ["MasterKey", "Vault"]
