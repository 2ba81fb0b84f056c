"""Which system calls does a plugin never need?

Starting processes, looking into others and signalling them, mounting, and sockets of this machine
(through which servers that trust their machine can be reached). The filter is the kernel's: once
set, nothing in the process takes it off.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

__all__ = ["deny"]

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_ABSENT = 0x00050000 | errno.ENOSYS
_CLONE_THREAD = 0x00010000
_AF_UNIX = 1
#: Calls of another table of the same processor (x32) have this bit.
_OTHER_TABLE = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _FIRST_AT = 0, 4, 16

#: The kernel's own numbers (its unistd tables): audit name of the processor, then the calls.
_SAME_EVERYWHERE = (424, 425, 426, 427, 428, 429, 430, 434, 438, 442)
_TABLES: dict[str, tuple[int, dict[str, int], tuple[int, ...]]] = {
    "x86_64": (
        0xC000003E,
        {"clone": 56, "clone3": 435, "socket": 41, "kill": 62, "tgkill": 234, "prlimit64": 302},
        (
            *(57, 58, 59, 322),  # fork, vfork, execve, execveat
            *(101, 310, 311, 200, 129, 297, 312),  # ptrace, process_vm_*, tkill, rt_*queueinfo
            *(165, 166, 155, 161, 272, 308),  # mount, umount2, pivot_root, chroot, unshare, setns
            *(248, 249, 250, 298, 321, 323),  # keys, perf_event_open, bpf, userfaultfd
            *(
                29,
                319,
                135,
                71,
                69,
                304,
            ),  # shmget, memfd_create, personality, msg*, open_by_handle_at
        ),
    ),
    "aarch64": (
        0xC00000B7,
        {"clone": 220, "clone3": 435, "socket": 198, "kill": 129, "tgkill": 131, "prlimit64": 261},
        (
            *(221, 281),
            *(117, 270, 271, 130, 138, 240, 272),
            *(40, 39, 41, 51, 97, 268),
            *(217, 218, 219, 241, 280, 282),
            *(194, 279, 92, 187, 189, 265),
        ),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def deny(libc: ctypes.CDLL) -> bool:
    """Set the filter; False where this processor or kernel has none.

    `no_new_privs` must be set before.
    """
    table = _TABLES.get(platform.machine())
    if table is None:
        return False
    code = _code(table, own=os.getpid())
    held = ctypes.create_string_buffer(code)
    program = _Program(len(code) // 8, ctypes.cast(held, ctypes.c_void_p))
    done: int = libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0)
    return done == 0


def _code(table: tuple[int, dict[str, int], tuple[int, ...]], *, own: int) -> bytes:
    arch, named, refused = table
    lines = [
        _line(_LOAD, _ARCH_AT),
        _line(_EQUAL, arch, 1, 0),
        _line(_RETURN, _REFUSE),
        _line(_LOAD, _NUMBER_AT),
        _line(_AT_LEAST, _OTHER_TABLE, 0, 1),
        _line(_RETURN, _REFUSE),
        # The C library goes back to clone where clone3 is absent; its flags can be read there.
        *_when(named["clone3"], [_line(_RETURN, _ABSENT)]),
        *_when(named["clone"], _unless(_line(_HAS_BITS, _CLONE_THREAD, 1, 0))),
        *_when(named["socket"], _unless(_line(_EQUAL, _AF_UNIX, 0, 1))),
        *_when(named["kill"], _unless(_line(_EQUAL, own, 1, 0))),
        *_when(named["tgkill"], _unless(_line(_EQUAL, own, 1, 0))),
        *_when(named["prlimit64"], _unless(_line(_EQUAL, 0, 1, 0))),
    ]
    for number in (*refused, *_SAME_EVERYWHERE):
        lines += _when(number, [_line(_RETURN, _REFUSE)])
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _when(number: int, then: list[bytes]) -> list[bytes]:
    """For this call alone do `then`, which always returns."""
    return [_line(_EQUAL, number, 0, len(then)), *then]


def _unless(test: bytes) -> list[bytes]:
    """Allow by the call's first argument: the test skips the refusal."""
    return [_line(_LOAD, _FIRST_AT), test, _line(_RETURN, _REFUSE), _line(_RETURN, _ALLOW)]


def _line(operation: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", operation, yes, no, value)
