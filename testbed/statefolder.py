"""What lies in a state folder, who may read it, and what of it may be deleted?

lock            held by the supervisor for as long as it lives
control.sock    the supervisor's ear
state.json      what the supervisor started, and how it ended
testbed.json    the line that ``up`` printed
kubeconfig      the admin's; kubeconfigs/ has the others
agent/          what the node agent is told, and the volumes of its pods
webhooks/       a folder for each start of webhooks: the token of their path, their certificates
audit/          what is audited, where it is, and the log of it
logs/           one file a process; the only thing that can outlive ``down``
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from testbed.errors import FolderForeign, FolderInUse

if TYPE_CHECKING:
    from pathlib import Path

LOCK = "lock"
SOCKET = "control.sock"
STATE = "state.json"
DESCRIPTION = "testbed.json"
LOGS = "logs"
TARGETS = "targets"
WEBHOOKS = "webhooks"
AGENT, AUDIT = "agent", "audit"
_FOLDERS = (LOGS, "kubeconfigs", "certs", "home", "tmp", TARGETS, WEBHOOKS, AGENT, AUDIT)
_KNOWN = frozenset(
    {
        LOCK,
        SOCKET,
        STATE,
        f"{STATE}.new",
        DESCRIPTION,
        f"{DESCRIPTION}.new",
        "kubeconfig",
        "tokens.csv",
        "etcd",
        "etcd.client:1",
        "etcd.peer:1",
        "kubectl-cache",
        "prometheus",
        "prometheus.yml",
        "alerts.yaml",
        *_FOLDERS,
    }
)


def prepare(folder: Path) -> int:
    """Make the folder, private, lock it, and empty it of what an earlier test bed left; returns the lock.

    It holds tokens of cluster administrators, hence 0700. Raises FolderForeign if it has anything else in it,
    FolderInUse if a test bed runs on it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    foreign = sorted(entry.name for entry in folder.iterdir() if entry.name not in _KNOWN)
    if foreign:
        raise FolderForeign(f"{folder} holds {', '.join(foreign[:3])}: name a folder that is empty or does not exist")
    lock = take_lock(folder)
    if lock is None:
        raise FolderInUse(
            f"a test bed runs on {folder} already: stop it (python -m testbed down --state {folder}) "
            "or name another folder"
        )
    folder.chmod(0o700)
    _delete(folder, _KNOWN - {LOCK})
    for name in _FOLDERS:
        (folder / name).mkdir()
    return lock


def take_lock(folder: Path) -> int | None:
    """The lock of the folder, held until the returned descriptor is closed; None if somebody else has it."""
    path = folder / LOCK
    while True:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except FileNotFoundError:
            pass
        os.close(fd)  # a clean() deleted this file while we opened it: a lock on it would exclude nobody


def clean(folder: Path, *, keep: frozenset[str] = frozenset()) -> None:
    """Delete a test bed's files, nothing else, and the folder itself if nothing is left in it.

    The caller holds the lock.
    """
    _delete(folder, _KNOWN - keep - {LOCK})
    (folder / LOCK).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _delete(folder: Path, names: frozenset[str]) -> None:
    for name in names:
        entry = folder / name
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write the file whole or not at all, readable by its owner only."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file)
    new.replace(path)


def write_private(path: Path, text: str) -> None:
    """Write a new file, readable by its owner only from the first moment."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file; None if there is no file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    value = json.loads(text)
    return value if isinstance(value, dict) else None


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, for an error message; at most 8 KiB of it are read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "    (no log)"
    return "\n".join(f"    {line[:300]}" for line in lines[-count:]) or "    (empty)"
