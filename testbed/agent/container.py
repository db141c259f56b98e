"""What does a container find around it?

``python -m testbed.agent.container FILE`` becomes the program that FILE, a `Plan` in JSON, describes: in namespaces of
its own for users, mounts and the machine's name, with the mounts that it names and nothing else below /run. All the
rest can only be read. With ``--enter PID`` it goes into the namespaces of a running one instead. It dies with who
started it.

The user that a pod asks for is, outside, the one that the test bed runs as; root is not needed. Neither processes nor
resources nor the network are kept apart.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

_NEWNS, _NEWUTS, _NEWUSER = 0x00020000, 0x04000000, 0x10000000  # linux/sched.h
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 1 << 18  # linux/mount.h
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1
_PR_SET_PDEATHSIG: Final = 1
_RUN: Final = "/run"
_NOT_STARTED: Final = 128
_NAME_LENGTH: Final = 63
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the machine and where the container finds it."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run, and how."""

    argv: list[str]
    env: dict[str, str]
    hostname: str
    parent: int
    """The process that must outlive it."""
    mounts: list[Mount] = field(default_factory=list)
    user: int = 0
    """As which it sees itself, without a right more than whoever runs the test bed."""
    group: int = 0

    def write(self, path: Path) -> None:
        """Write it where nobody else can read it: there may be secrets in the environment."""
        descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    @classmethod
    def read(cls, path: Path) -> Plan:
        """What `write` wrote."""
        value = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**value, "mounts": [Mount(**each) for each in value["mounts"]]})


class _Attributes(ctypes.Structure):
    """mount_attr of linux/mount.h."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user")]


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _unshare(user: int, group: int) -> None:
    outside_user, outside_group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEWUSER | _NEWNS | _NEWUTS), "unshare")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {outside_user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {outside_group} 1", encoding="ascii")


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    _check(_libc.mount(source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), None), target)


def _set_read_only(target: str, *, on: bool, below: bool) -> None:
    attributes = _Attributes(_READ_ONLY if on else 0, 0 if on else _READ_ONLY, 0, 0)
    _check(
        _libc.syscall(
            _MOUNT_SETATTR,
            _AT_FDCWD,
            target.encode(),
            _AT_RECURSIVE if below else 0,
            ctypes.byref(attributes),
            ctypes.c_size_t(ctypes.sizeof(attributes)),
        ),
        target,
    )


def _make(plan: Plan) -> None:
    """Give this process the surroundings that are planned. Raises OSError."""
    _unshare(plan.user, plan.group)
    name = plan.hostname[:_NAME_LENGTH].encode()
    _check(_libc.sethostname(name, len(name)), "sethostname")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    # A mount may cover the source of a later one.
    sources = [os.open(mount.source, os.O_PATH) for mount in plan.mounts]
    _mount("tmpfs", _RUN, "tmpfs", 0)
    if os.path.realpath("/var/run") != _RUN:
        _mount(_RUN, "/var/run", None, _MS_BIND)
    for mount, source in zip(plan.mounts, sources, strict=True):
        target = os.path.realpath(mount.target)  # before it is made, for /var/run is /run
        if target.startswith(f"{_RUN}/"):
            Path(target).mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{source}", target, None, _MS_BIND)
        os.close(source)
    _set_read_only("/", on=True, below=True)
    for mount in plan.mounts:
        if not mount.read_only:
            _set_read_only(mount.target, on=False, below=False)


def _enter(pid: int) -> None:
    """Go into the namespaces of a process. Raises OSError."""
    descriptor = os.pidfd_open(pid)
    _check(_libc.setns(descriptor, _NEWUSER | _NEWNS | _NEWUTS), f"setns {pid}")
    os.close(descriptor)


def main(arguments: list[str]) -> int:
    """Become the program; comes back only where that cannot be."""
    plan = Plan.read(Path(arguments[-1]))
    try:
        if arguments[0] == "--enter":
            _enter(int(arguments[1]))
        else:
            _make(plan)
        # Only now, for what changes the rights of a process makes the kernel forget it.
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != plan.parent:
            return _NOT_STARTED
        os.chdir("/")
        os.execvpe(plan.argv[0], plan.argv, plan.env)  # noqa: S606
    except OSError as error:
        print(f"cannot start {plan.argv[0]}: {error}", file=sys.stderr)
        return _NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
