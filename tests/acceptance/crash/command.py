"""Is anything lost or doubled when the program is killed hundreds of times?

`make crash N=500 SEED=1` runs this; docs/reliability.md says what the figures mean.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence

from tests.acceptance.crash.defects import DEFECTS
from tests.acceptance.crash.options import Options, planted
from tests.acceptance.crash.report import as_json, passed, table
from tests.acceptance.crash.run import crash

__all__ = ["main"]

_TELL_EVERY_S = 10.0


def _progress(kills: int) -> Callable[[int], None]:
    began = time.monotonic()
    told_at = began

    def told(done: int) -> None:
        nonlocal told_at
        now = time.monotonic()
        if sys.stderr.isatty():
            print(f"\r{done} of {kills} kills ", end="", file=sys.stderr, flush=True)
        elif now - told_at > _TELL_EVERY_S:
            told_at = now
            print(f"{now - began:6.0f} s: {done} of {kills} kills", file=sys.stderr, flush=True)

    return told


def _asked(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=Options.kills)
    parser.add_argument("--seed", type=int, default=Options.seed)
    parser.add_argument("--lanes", type=int, default=Options.lanes)
    parser.add_argument("--provider", default=os.environ.get("PROVIDER_URL") or None)
    parser.add_argument("--chaos", type=int, default=Options.chaos, help="of a thousand calls")
    parser.add_argument("--points", default="", help="crash points, parted by commas")
    parser.add_argument("--defect", default=None, help="plant a defect, to see the harness go red")
    given = parser.parse_args(arguments)
    return Options(
        kills=given.kills,
        seed=given.seed,
        lanes=given.lanes,
        provider=given.provider,
        chaos=given.chaos,
        points=tuple(filter(None, given.points.split(","))) or None,
        random_kills=not given.points,
        defect=given.defect,
    )


def _show_defects(seed: int) -> int:
    """Plant each defect in turn; 1 where one of them is not seen."""
    unseen = 0
    for name in DEFECTS:
        figures = asyncio.run(crash(planted(name, seed=seed)))
        print(f"{name:<16} {', '.join(figures.wrong) or 'NOT SEEN'}", flush=True)
        unseen += not figures.wrong
    return 1 if unseen else 0


def main() -> int:
    """Run and print; 1 where something is wrong."""
    if sys.argv[1:2] == ["defects"]:
        return _show_defects(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    options = _asked(sys.argv[1:])
    began = time.monotonic()
    figures = asyncio.run(crash(options, told=_progress(options.kills)))
    took_s = time.monotonic() - began
    print(table(figures, options, took_s=took_s))
    print(as_json(figures, options, took_s=took_s))
    return 0 if passed(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
