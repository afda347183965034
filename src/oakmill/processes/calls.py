"""Which system calls a tool may make: one seccomp filter for every wall, as Linux's x86-64 numbers them.

Landlock and bubblewrap keep a tool from files; what it could do to processes, to memory that nobody counts, and to what
belongs to a file beside its bytes is refused here. Formats: linux/seccomp.h, linux/filter.h; the numbers:
arch/x86/entry/syscalls/syscall_64.tbl.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

Step = tuple[int, int, int, int]
"""An instruction: code, steps to skip if true, if false, operand."""

_X86_64, _X32_BIT = 0xC000003E, 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ANSWER = 0x7FFF0000, 0x80000000, 0x00050000
_REFUSE = _ANSWER | errno.EPERM
_PRETEND = _ANSWER
"""Answers success and does nothing: copying a file sets its mode and times, and no tool depends on them."""
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

REFUSED = {
    **{"socket": 41, "io_uring_setup": 425},
    # memory and queues that outlive the process, and that no limit counts
    **{"shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240},
    # the memory, the handles and the time of other processes
    **{"ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "process_madvise": 440, "pidfd_getfd": 438},
    **{"kcmp": 312, "migrate_pages": 256, "move_pages": 279, "process_mrelease": 448},
    # the kernel's own machinery, which no tool needs
    **{"keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323},
    **{"mount": 165, "umount2": 166, "pivot_root": 155, "unshare": 272, "setns": 308},
    **{"move_mount": 429, "fsopen": 430, "open_tree": 428, "fsmount": 432, "mount_setattr": 442},
}
"""Calls that fail with EPERM."""

PRETENDED = {
    # a mode, an owner or an attribute of a file that the tool may read
    **{"chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452},
    **{"chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260},
    **{"setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "setxattrat": 463},
    **{"removexattr": 197, "lremovexattr": 198, "fremovexattr": 199, "removexattrat": 466, "file_setattr": 469},
    # a session of its own, in which a process would outlive the run that started it
    **{"setsid": 112},
}
"""Calls that do nothing and say that they did."""

TIMES = {"utime": (132, 1), "utimes": (235, 1), "futimesat": (261, 2), "utimensat": (280, 2)}
"""Calls that set a file's times, and the place of the times: given, as when a file is copied, nothing happens; for the
present time, by which Python's `touch` finds out whether there is a file at all, EPERM, and it makes one."""

OF_ITSELF = {
    "prlimit64": (302, 0, _REFUSE),
    "setpriority": (141, 1, _REFUSE),
    "sched_setparam": (142, 0, _REFUSE),
    "sched_setscheduler": (144, 0, _REFUSE),
    "sched_setattr": (314, 0, _REFUSE),
    "ioprio_set": (251, 1, _REFUSE),
    "sched_setaffinity": (203, 0, _PRETEND),  # libraries pin their threads by number
}
"""Calls that a process may make on itself alone: number, place of the process id, which must be 0, and the answer."""

_CLONE, _CLONE3, _NAMESPACES = 56, 435, 0x7E020000
_NOT_KNOWN = _ANSWER | errno.ENOSYS
"""What clone3 answers, whose flags no filter can read: libc then calls clone."""


def filter_program() -> bytes | None:
    """The filter as the kernel reads it, 8 bytes a step (struct sock_filter); None on processors that it is not for."""
    if os.uname().machine != "x86_64":
        return None
    return b"".join(struct.pack("=HBBI", *step) for step in _steps())


def _steps() -> Iterator[Step]:
    yield from ((_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _X86_64), (_RETURN, 0, 0, _KILL))
    yield (_LOAD, 0, 0, _NUMBER)
    yield from ((_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _REFUSE))
    for number in REFUSED.values():
        yield from ((_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE))
    for number in PRETENDED.values():
        yield from ((_EQUAL, 0, 1, number), (_RETURN, 0, 0, _PRETEND))
    for number, argument in TIMES.values():
        yield from _where(number, argument, (_EQUAL, 0, 1, 0), _REFUSE, _PRETEND)
    for number, argument, answer in OF_ITSELF.values():
        yield from _where(number, argument, (_EQUAL, 1, 0, 0), answer, _ALLOW)
    yield from _where(_CLONE, 0, (_ANY_BIT, 0, 1, _NAMESPACES), _REFUSE, _ALLOW)
    yield from ((_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _NOT_KNOWN))
    yield (_RETURN, 0, 0, _ALLOW)


def _where(number: int, argument: int, condition: Step, first: int, second: int) -> Iterator[Step]:
    """One of two answers to a call, by its argument's lower half, which is all of a process id; the condition skips."""
    yield (_EQUAL, 0, 4, number)
    yield (_LOAD, 0, 0, _ARGUMENTS + 8 * argument)
    yield condition
    yield (_RETURN, 0, 0, first)
    yield (_RETURN, 0, 0, second)
