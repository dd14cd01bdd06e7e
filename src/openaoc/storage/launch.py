"""Starts one program with the least it needs: `python -I -S launch.py …` becomes it.

Run as a script of its own, because changing identity between fork and exec of a threaded process
is not safe. As root it becomes an unprivileged user that keeps at most one capability, to pass
through folders whose modes we never widen. Never imports the rest of the project.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_KEEPCAPS: Final = 8
PR_SET_SECUREBITS: Final = 28
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
SECBIT_NO_SETUID_FIXUP: Final = 1 << 2
CAPABILITY_VERSION_3: Final = 0x20080522
CAPABILITIES: Final = {"dac_override": 1, "dac_read_search": 2}
EXIT_REFUSED: Final = 126
"""The exit status when the identity could not be taken; PostgreSQL's programs never use it."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Words(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(libc: ctypes.CDLL, option: int, *words: int) -> int:
    padded = [*words, 0, 0, 0, 0][:4]
    return int(libc.prctl(option, *(ctypes.c_ulong(word) for word in padded)))


def _keep_only(libc: ctypes.CDLL, capability: int | None) -> None:
    """Give up every capability but this one, and let it survive the exec."""
    mask = 0 if capability is None else 1 << capability
    words = (_Words * 2)(_Words(mask, mask, mask), _Words(0, 0, 0))
    header = _Header(CAPABILITY_VERSION_3, 0)
    _check(libc.capset(ctypes.byref(header), ctypes.byref(words)), "capset")
    if capability is not None:
        raised = _prctl(libc, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)
        _check(raised, "ambient capability")


def become(libc: ctypes.CDLL, *, uid: int, gid: int, capability: int | None) -> None:
    """From root to `uid`:`gid` without groups, keeping at most one capability.

    access(2) ignores the capabilities of a process that is not root unless the secure bit is set,
    and PostgreSQL's programs find each other with access(2). Where the bit may not be set, only
    that is lost.
    """
    if capability is not None and _prctl(libc, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) != 0:
        _check(_prctl(libc, PR_SET_KEEPCAPS, 1), "keep capabilities")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _keep_only(libc, capability)


def main(arguments: list[str]) -> int:
    """Take the identity and become the program; returns only when that failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--capability", choices=sorted(CAPABILITIES))
    parser.add_argument("--parent", type=int)
    parser.add_argument("--folder", required=True)
    parser.add_argument("program", nargs="+")
    given = parser.parse_args(arguments)
    try:
        if sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            if given.uid is not None:
                capability = CAPABILITIES[given.capability] if given.capability else None
                become(libc, uid=given.uid, gid=given.gid, capability=capability)
            _check(_prctl(libc, PR_SET_NO_NEW_PRIVS, 1), "no new privileges")
            if given.parent is not None:
                _check(_prctl(libc, PR_SET_PDEATHSIG, signal.SIGINT), "death signal")
                if os.getppid() != given.parent:
                    return EXIT_REFUSED
        os.umask(0o077)
        os.chdir(given.folder)
        os.execv(given.program[0], given.program)  # noqa: S606 - becoming it is the purpose
    except OSError as error:
        sys.stderr.write(f"cannot run {given.program[0]}: {error}\n")
    return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
