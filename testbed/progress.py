"""How is somebody told what a long build is doing: on a terminal, and in a log?"""

from __future__ import annotations

import sys
import time
from typing import TextIO

_LOG_SECONDS = 15.0  # a CI log gets a line that often: enough to see that it lives, few enough to read
_TERMINAL_SECONDS = 0.5
_WIDTH, _BAR = 100, 20


def clock(seconds: float) -> str:
    """Seconds as people read them: 0:07, 4:35."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Progress:
    """One line on a terminal that is written over, or a plain line now and then where there is none."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._open = False  # whether the terminal's last line will be written over
        self._next = 0.0

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._open:
            self._stream.write("\r\x1b[K")
            self._open = False
        self._stream.write(f"{text}\n")
        self._stream.flush()
        self._next = time.monotonic() + _LOG_SECONDS

    def tick(self, text: str, elapsed: float, expected: float) -> None:
        """What goes on, since ``elapsed`` of about ``expected`` seconds. Call it often: it picks the moments itself."""
        now = time.monotonic()
        if now < self._next:
            return
        if not self._terminal:
            self.say(f"  {text}: {clock(elapsed)} of about {clock(expected)}")
            return
        self._next = now + _TERMINAL_SECONDS
        done = min(_BAR - 1, int(_BAR * elapsed / max(expected, 1)))
        line = f"  [{'#' * done}{'.' * (_BAR - done)}] {clock(elapsed)} of about {clock(expected)}  {text}"
        self._stream.write(f"\r\x1b[K{line[:_WIDTH]}")
        self._stream.flush()
        self._open = True
