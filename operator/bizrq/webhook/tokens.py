"""Which paths are served?

API servers do not authenticate to webhooks by default. So the address itself is the secret: ``/<token>/<route>``, with
the token from a file that only the webhook and the webhook configuration have.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bizrq.webhook.files import Held

__all__ = ["PathTokens"]

_SHORTEST: Final = 16
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~-]{%d,}" % _SHORTEST)
"""Characters that stand for themselves in a path."""


class PathTokens:
    """The tokens of a file, one a line. All of them are accepted, so that one can be replaced without a gap."""

    def __init__(self, path: Path) -> None:
        """Raise ``FileError`` where the file is there and has no token."""
        self._held = Held("path tokens", (path,), _read)

    def refresh(self) -> None:
        """Read the file again if it changed."""
        self._held.refresh()

    @property
    def lacks(self) -> str | None:
        """What is missing before anybody can be let in; None where nothing is."""
        return self._held.lacks

    def accept(self, text: str) -> bool:
        """Whether it is one of them. How long this takes tells nothing about any of them."""
        offered = text.encode("utf-8", "replace")
        return any([hmac.compare_digest(offered, token) for token in self._held.value or ()])  # noqa: C419  # all, always


def _read(contents: Sequence[bytes]) -> tuple[bytes, ...]:
    lines = [line.strip() for line in contents[0].splitlines()]
    for number, line in enumerate(lines, start=1):
        if line and not _TOKEN.fullmatch(line):  # the line itself is not told: it may be most of a secret
            msg = (
                f"line {number} is no token: write one a line, of at least {_SHORTEST} letters, digits, '-', '_', "
                "'.' or '~', such as `openssl rand -hex 32` makes"
            )
            raise ValueError(msg)
    tokens = tuple(line for line in lines if line)
    if not tokens:
        msg = f"there is no token in it: write one a line, of at least {_SHORTEST} characters (`openssl rand -hex 32`)"
        raise ValueError(msg)
    return tokens
