"""How is a file held that may be replaced while we run?

By its content, read again from time to time: volumes of Secrets are replaced by a symbolic link that changes its
target, editors write in place, and both look the same here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar, final

__all__ = ["FileError", "Held"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")


@final
class FileError(Exception):
    """Files that cannot be used; the message names them and says what has to be in them."""


class Held(Generic[_T]):
    """What was made of the content of some files, made anew when it changes.

    Files that are not there yet are waited for: somebody else makes them. ``make`` gets the content of each file, in
    the order of ``paths``, and raises ``ValueError`` (which says what is expected) or ``OSError`` where it is no good:
    half written, or half replaced.
    """

    def __init__(self, what: str, paths: Sequence[Path], make: Callable[[Sequence[bytes]], _T]) -> None:
        """Raise ``FileError`` where the files are there and cannot be used."""
        self._what, self._paths, self._make = what, tuple(paths), make
        self._said = ""
        self._tried: tuple[bytes, ...] = ()
        self.value: _T | None = None
        """None while they are waited for."""
        self.lacks: str | None = None
        """What is wrong while there is no value."""
        try:
            self._tried = self._read()
            self.value = make(self._tried)
        except FileNotFoundError as error:
            self.lacks = f"{what}: waiting for {error.filename}"
        except (OSError, ValueError) as error:
            raise FileError(self._wrong(error)) from error

    def refresh(self) -> None:
        """Read the files again. What is no good is logged once, and what was there before is kept."""
        try:
            read = self._read()
            if read == self._tried:
                return
            self._tried = read
            self.value = self._make(read)
        except FileNotFoundError as error:
            if self.value is None:
                self.lacks = f"{self._what}: waiting for {error.filename}"
            else:
                self._warn(error)
        except (OSError, ValueError) as error:
            self._warn(error)
        else:
            self._said, self.lacks = "", None
            log.info("%s: read from %s", self._what, self._names)

    def _read(self) -> tuple[bytes, ...]:
        return tuple(path.read_bytes() for path in self._paths)

    def _warn(self, error: Exception) -> None:
        wrong = self._wrong(error)
        if self.value is None:
            self.lacks = wrong
        if wrong != self._said:
            goes_on = "waiting for others" if self.value is None else "going on with what was there before"
            log.warning("%s; %s", wrong, goes_on)
        self._said = wrong

    @property
    def _names(self) -> str:
        return ", ".join(map(str, self._paths))

    def _wrong(self, error: Exception) -> str:
        return f"{self._what} ({self._names}): {error}"
