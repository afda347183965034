"""Puts limits, an empty environment, a filter of system calls and Landlock around this process, then becomes the tool.

Run as a program: `python -I -S landlock.py WORD... -- TOOL ARGUMENT...`, each WORD one of

    env:NAME=VALUE     a variable of the tool's otherwise empty environment
    keep:NAME          a variable that it inherits; keep:* stands for all
    limit:NAME=NUMBER  a resource limit of setrlimit(2): limit:FSIZE=1048576
    read:PATH          a file or folder it may read and execute (Landlock)
    write:PATH         a file or folder it may also write (Landlock)
    wall:landlock      refuse all other files, TCP, and root's powers
    calls:HEX          a filter of system calls (see calls.py); `{calls}` among the tool's arguments, which is
                       bubblewrap, becomes the number of a file that holds it, and it is left to bubblewrap
    own:BYTES          a /dev/shm of its own, of so many bytes, and a bound on its processes, where the kernel
                       gives it a user namespace; without one it shares them with all
    orphan:kill        end it when the process that started it ends

It needs the standard library alone and imports little, because it stands before every run of a tool (7 ms).
Format: linux/landlock.h.
"""

from __future__ import annotations

import os
import resource
import stat
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CAPABILITIES_OF_64_BITS = 0x20080522
SET_PDEATHSIG, SET_SECCOMP, DROP_CAPABILITY, SET_NO_NEW_PRIVS = 1, 22, 24, 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEV = 1, 2, 4, 8, 1 << 14, 1 << 15
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
CONNECT_AND_BIND_TCP = 3
OUTSIDE_SIGNALS_AND_ABSTRACT_SOCKETS = 3

# What the kernel's version of Landlock can refuse: bits of handled_access_fs by the version that added them.
FILE_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: TRUNCATE, 5: IOCTL_DEV}

NEW_NAMESPACES = 0x10000000 | 0x20000 | 0x8000000  # user, mount, IPC
NOSUID, NODEV, NOEXEC = 2, 4, 8
MOST_PROCESSES = 4096
"""Of a tool, its threads among them; a machine's kernel counts them for each user namespace since Linux 5.14."""

CALLS = "{calls}"


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none."""
    try:
        return _libc("syscall", CREATE_RULESET, 0, 0, 1)
    except OSError:
        return 0


def restrict(read: list[str], write: list[str]) -> None:
    """Take from this process all files but those, TCP, and signals to processes outside, for good.

    Raises:
        OSError: the kernel has no Landlock, or a path does not exist.
    """
    import struct

    has = version()
    if has < 1:
        raise OSError("this kernel has no Landlock")
    rights = sum(bits for since, bits in FILE_RIGHTS.items() if has >= since)
    attributes = struct.pack(
        "=QQQ", rights, CONNECT_AND_BIND_TCP * (has >= 4), OUTSIDE_SIGNALS_AND_ABSTRACT_SOCKETS * (has >= 6)
    )
    ruleset = _libc("syscall", CREATE_RULESET, attributes, 24 if has >= 6 else 16 if has >= 4 else 8, 0)
    for path in read:
        _allow(ruleset, path, EXECUTE | READ_FILE | READ_DIR)
    for path in write:
        _allow(ruleset, path, rights)
    _libc("prctl", SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc("syscall", RESTRICT_SELF, ruleset, 0)


def _allow(ruleset: int, path: str, rights: int) -> None:
    import struct

    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        folder = stat.S_ISDIR(os.fstat(handle).st_mode)
        rule = struct.pack("=Qi", rights if folder else rights & ON_FILES, handle)
        _libc("syscall", ADD_RULE, ruleset, 1, rule, 0)
    finally:
        os.close(handle)


def own_memory(size: int) -> bool:
    """Give this process a /dev/shm of its own and a count of its own processes; whether the kernel allows it.

    Landlock's rule is of the folder that is there when the rule is made, so this comes before it.
    """
    user, group = os.getuid(), os.getgid()
    try:
        _libc("unshare", NEW_NAMESPACES)
        for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open("/proc/self/" + name, "w") as file:  # noqa: PTH123 - pathlib is slow to import
                file.write(line)
        options = f"size={size},mode=0700".encode()
        _libc("mount", b"tmpfs", b"/dev/shm", b"tmpfs", NOSUID | NODEV | NOEXEC, options)
    except OSError:
        return False
    _limit("NPROC", MOST_PROCESSES)
    return True


def filter_calls(program: bytes) -> None:
    """Let this process make only the system calls that a filter allows, for good.

    Raises:
        OSError: the kernel has no seccomp filters.
    """
    import ctypes
    import struct

    kept = ctypes.create_string_buffer(program)
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
    _libc("prctl", SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc("prctl", SET_SECCOMP, 2, head)


def _file_of(program: bytes) -> int:
    """A descriptor that the tool inherits, of a file that holds it."""
    handle = os.memfd_create("calls", 0)
    os.write(handle, program)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def drop_capabilities() -> None:
    """See that the program this process becomes has no power over others, should the user be root."""
    for number in range(64):
        try:
            _libc("prctl", DROP_CAPABILITY, number)
        except OSError:  # not ours to drop, or the kernel has no more of them
            return


def give_up_capabilities() -> None:
    """Take root's powers from this process itself, which `drop_capabilities` takes from what it becomes.

    Raises:
        OSError: the kernel refused. Format: linux/capability.h.
    """
    import struct

    _libc("capset", struct.pack("=Ii", CAPABILITIES_OF_64_BITS, 0), bytes(24))


def _libc(function: str, *arguments: int | bytes) -> int:
    """Call libc with whole machine words.

    Raises:
        OSError: what the kernel answered.
    """
    import ctypes

    words = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(getattr(ctypes.CDLL(None, use_errno=True), function)(*words))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _words(arguments: list[str], kind: str) -> list[str]:
    return [word[len(kind) + 1 :] for word in arguments if word.startswith(kind + ":")]


def _limit(name: str, value: int) -> None:
    """Lower a limit; one that is already lower stays."""
    which = getattr(resource, "RLIMIT_" + name)
    hard = resource.getrlimit(which)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _die_first() -> None:
    """Ask the kernel to end the tool rather than anything else when the machine runs out of memory."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib is slow to import
            file.write("500")
    except OSError:
        pass  # only a kindness to others


def put_on(words: list[str], tool: list[str]) -> dict[str, str]:
    """Do as the words say with this process; the environment that is left to the tool.

    Raises:
        OSError: the kernel refused.
    """
    kept = _words(words, "keep")
    environment = {name: value for name, value in os.environ.items() if name in kept or "*" in kept}  # noqa: TID251
    environment |= dict(word.split("=", 1) for word in _words(words, "env"))
    _die_first()
    for word in _words(words, "limit"):
        name, _, value = word.partition("=")
        _limit(name, int(value))
    for size in _words(words, "own"):
        own_memory(int(size))
    if "orphan:kill" in words:
        _libc("prctl", SET_PDEATHSIG, 9)
    if "wall:landlock" in words:
        restrict(_words(words, "read"), _words(words, "write"))
        drop_capabilities()
    for program in map(bytes.fromhex, _words(words, "calls")):
        if CALLS in tool:
            tool[tool.index(CALLS)] = str(_file_of(program))
        else:
            filter_calls(program)
    return environment


def main(arguments: list[str]) -> None:
    """Do as the words say and become the tool."""
    end = arguments.index("--")
    words, tool = arguments[:end], arguments[end + 1 :]
    environment = put_on(words, tool)
    os.execve(tool[0], tool, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
