"""Eight workers renew a thousand subscriptions, and are killed at it.

`python -m tests.acceptance.renewals [--due 1000] [--workers 8] [--rounds 3] [--seed 1]`: in each
round a worker is killed before its commit, one after it, and one after a gateway's yes. Some look
twice at once, some do only what wake-ups tell of, and wake-ups come twice, or never, by chance. The
last line is JSON, and the exit code is 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

import msgspec

from tests.acceptance.renewals.scenes import campaign
from tests.acceptance.renewals.stage import Standing
from tests.engines import open_till
from tests.servers import migrated_home

__all__: list[str] = []


async def _main(options: argparse.Namespace) -> list[Standing]:
    found = []
    async with migrated_home() as home:
        os.environ["PAYENGINE_HOME"] = str(home.home)
        async with open_till(home) as till:
            for number in range(options.rounds):
                standing = await campaign(
                    till, options.due, options.workers, seed=options.seed + number
                )
                sys.stdout.write(f"round {number + 1}: {standing}\n")
                sys.stdout.flush()
                found.append(standing)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--due", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    standings = asyncio.run(_main(given))
    wrong = [
        each
        for each in standings
        if each.broken
        or {each.invoices, each.paid, each.provider_charges, each.payments_recorded} != {given.due}
    ]
    figures = {"rounds": len(standings), "due": given.due, "workers": given.workers}
    sys.stdout.write(
        msgspec.json.encode({**figures, "seed": given.seed, "wrong": len(wrong)}).decode() + "\n"
    )
    sys.exit(1 if wrong else 0)
