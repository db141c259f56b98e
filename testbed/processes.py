"""Is this process still the one that was started, and how is it ended without hitting another one?

Linux only: process ids are used again, so every id is kept together with the moment its process started.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_STATE_FIELD, _STARTTIME_FIELD = 0, 19  # proc_pid_stat(5), counted from the field behind the name
_DEAD_STATES = frozenset("ZXx")


@dataclass(frozen=True, slots=True)
class Proc:
    """One process for good: its id, and the boot and clock tick at which it started."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Proc | None:
        """The process that has this id now; None if there is none or only a zombie is left of it."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:  # ProcessLookupError comes from a process that ends while it is read
            return None
        fields = stat[stat.rindex(")") + 2 :].split()  # the name in front may hold blanks and brackets
        if fields[_STATE_FIELD] in _DEAD_STATES:
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return cls(pid, f"{boot}/{fields[_STARTTIME_FIELD]}")

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return Proc.of(self.pid) == self

    def open(self) -> int | None:
        """A pidfd of this very process, readable when it ends; None if it is gone. The caller closes it."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive():  # the pidfd is held now: what is true here stays true of it
            return fd
        os.close(fd)
        return None

    def end(self, number: signal.Signals, seconds: float) -> bool:
        """Send a signal and wait for the end; whether the process is gone after ``seconds``."""
        fd = self.open()
        if fd is None:
            return True
        try:
            signal.pidfd_send_signal(fd, number)
            return bool(select.select([fd], [], [], seconds)[0])
        except ProcessLookupError:
            return True
        finally:
            os.close(fd)


def die_with(parent: int, number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """A ``preexec_fn``: the child gets ``number`` when the thread that started it ends, even by SIGKILL."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def set_in_child() -> None:
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)  # we may ignore it ourselves, as what a script starts with & does
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it ended between fork and prctl: nobody would tell us any more
            os.kill(os.getpid(), number)

    return set_in_child
