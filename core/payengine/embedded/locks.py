"""Who may start or stop the servers now, and who is using them?

Two advisory locks of the kernel (flock), which vanish by themselves when a process dies however
it dies. `lock` is held exclusively by whoever starts, stops or forgets; `members` is held shared
by every process that uses the servers. Who can turn its `members` lock into an exclusive one,
while holding `lock`, is the last.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from payengine.errors import EnvironmentProblem

__all__ = ["Membership", "sole_right"]

_STEP_S = 0.01
#: Longer than a start and a stop may take together.
_PATIENCE_S = 150.0


@contextmanager
def sole_right(path: Path, *, pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold the file at `path` exclusively. Nobody else starts or stops servers meanwhile."""
    descriptor = _acquire(path, pause)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquire(path: Path, pause: Callable[[float], None]) -> int:
    import fcntl

    give_up_at = time.monotonic() + _PATIENCE_S
    while True:
        descriptor = _open(path)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > give_up_at:
                        raise EnvironmentProblem(
                            f"Another process has held {path} for {_PATIENCE_S:.0f} s. See who "
                            f"it is (fuser {path}) and end it."
                        ) from None
                    pause(_STEP_S)
            # `forget` deletes the file; a lock on a deleted file protects nothing.
            if _is_same_file(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # the folder was deleted while we waited
        raise
    except OSError as error:
        raise EnvironmentProblem(
            f"{path} cannot be opened ({error.strerror}). Start payengine as the user who owns "
            "the folder, or choose another one with PAYENGINE_HOME."
        ) from error


class Membership:
    """One use of the servers by this process. Create and close it while holding `lock`."""

    def __init__(self, path: Path) -> None:
        import fcntl

        self._descriptor: int = _open(path)
        self._is_open = True
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BaseException:
            os.close(self._descriptor)
            raise

    def is_last(self) -> bool:
        """Whether nobody else uses the servers. The shared lock may be lost by asking."""
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Stop using the servers. A second time does nothing."""
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)
