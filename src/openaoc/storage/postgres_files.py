"""What PostgreSQL leaves on disk: its pid file, its settings, the folder of its socket.

Reads and writes files only; starts and stops nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

SOCKET_NAME: Final = ".s.PGSQL.5432"
SOCKET_PATH_BYTES_MAX: Final = 103
"""The smallest sun_path among the systems we run on (macOS 104, Linux 108), less the final NUL."""
CONNECTIONS_MAX: Final = 120
SHARED_BUFFERS: Final = "256MB"
SOCKET_FOLDER_PREFIX: Final = "openaoc-pg-"

HBA: Final = """\
# Written at every start: a password over the private socket, nothing else.
local all all scram-sha-256
local replication openaoc_replica scram-sha-256
"""

SETTINGS: Final = """\
# Written at every start.
listen_addresses = ''
port = 5432
max_connections = {connections}
shared_buffers = {buffers}
dynamic_shared_memory_type = posix
fsync = {durable}
synchronous_commit = on
full_page_writes = {durable}
max_wal_size = 2GB
max_slot_wal_keep_size = 16GB
checkpoint_timeout = 5min
random_page_cost = 1.1
timezone = 'UTC'
log_timezone = 'UTC'
password_encryption = scram-sha-256
# The log names what failed, never a value: statements, parameters and details stay out.
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = 1d
log_rotation_size = 0
log_file_mode = 0600
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_statement = none
log_checkpoints = off
"""


class Postmaster(msgspec.Struct, frozen=True, kw_only=True):
    """What postmaster.pid says about the server that wrote it."""

    pid: int
    socket_folder: str
    shared_memory: int | None
    ready: bool


def read_postmaster(data: Path) -> Postmaster | None:
    """The running, or killed, server's own account of itself; None where there is no file.

    Lines: pid, data folder, start, port, socket folder, address, memory key and id, status.
    """
    try:
        lines = (data / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    lines += [""] * (8 - len(lines))
    words = lines[6].split()
    return Postmaster(
        pid=pid,
        socket_folder=lines[4].strip(),
        shared_memory=int(words[1]) if len(words) > 1 and words[1].isdigit() else None,
        ready=lines[7].strip() == "ready",
    )


def is_alive(pid: int) -> bool:
    """Whether a process of that number exists and is not only waiting to be reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        status = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] != "Z"


def serves(pid: int, data: Path) -> bool:
    """Whether the process is a server of that data folder: it works in it, and names it.

    What cannot be told is no: nobody's process is touched on a guess, and PostgreSQL itself
    refuses to start beside a living server.
    """
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
        except OSError:
            return False
    listing = subprocess.run(  # noqa: S603 - a number of ours
        ["/bin/ps", "-p", str(pid), "-o", "command="], capture_output=True, check=False
    )
    return f"-D {data}".encode() in listing.stdout


def memory_in_use(identifier: int) -> bool:
    """Whether processes are attached to that System V segment: a dead postmaster's children."""
    try:
        rows = Path("/proc/sysvipc/shm").read_text("ascii").splitlines()
    except OSError:
        return True
    head = rows[0].split()
    place, attached = head.index("shmid"), head.index("nattch")
    fields = [row.split() for row in rows[1:]]
    return any(int(row[place]) == identifier and int(row[attached]) > 0 for row in fields)


def write_settings(data: Path, *, durable: bool, more: Mapping[str, str]) -> None:
    """Our configuration over the one initdb wrote; what is in the data folder is ours alone."""
    text = SETTINGS.format(
        connections=CONNECTIONS_MAX, buffers=SHARED_BUFFERS, durable="on" if durable else "off"
    )
    text += "".join(f"{name} = '{_quoted(value)}'\n" for name, value in more.items())
    for name, content in (("postgresql.conf", text), ("pg_hba.conf", HBA)):
        path = data / name
        owner = data.stat()
        path.write_text(content, "utf-8")
        path.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(path, owner.st_uid, owner.st_gid)
    (data / "postgresql.auto.conf").write_text("", "utf-8")


def _quoted(value: str) -> str:
    assert "\n" not in value, "one line for one setting"
    return value.replace("\\", "\\\\").replace("'", "''")


def socket_folder(home: Path) -> Path:
    """A private folder for the socket: in the data folder where its path is short enough.

    Else one with a random name in the folder for temporary files; `forget_socket_folder` removes
    it.
    """
    near = home / "run"
    if len(os.fsencode(near / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX:
        near.mkdir(mode=0o700, exist_ok=True)
        return near
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes a private folder
        place = Path(tempfile.mkdtemp(prefix=SOCKET_FOLDER_PREFIX, dir=parent))
        if len(os.fsencode(place / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX:
            return place
        place.rmdir()
    raise AssertionError("unreachable: a name in /tmp is short enough")


def clear_socket(folder: Path) -> None:
    """Remove what a killed server left in its private folder.

    Its lock file names a process number that may be somebody else's by now.
    """
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (folder / name).unlink(missing_ok=True)


def forget_socket_folder(path: str) -> None:
    """Remove a socket folder that `socket_folder` made among the temporary files."""
    place = Path(path)
    if place.name.startswith(SOCKET_FOLDER_PREFIX):
        shutil.rmtree(place, ignore_errors=True)
