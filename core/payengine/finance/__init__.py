"""What does an operator do about the books and about providers' files?

The commands `ledger` and `settlements`; what they do is done by the rooms below.
"""

from __future__ import annotations
