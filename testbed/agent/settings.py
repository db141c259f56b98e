"""What is the agent told, also while it runs?

One file in its folder, read each time something of it is needed. Whoever changes it replaces it whole.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from testbed import statefolder

_FILE: Final = "settings.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations are in seconds."""

    images: Mapping[str, str] = field(default_factory=dict)
    """The folder with an image's programs, by its reference, in which * may stand for anything; the first that fits."""
    refresh_seconds: float = 5.0
    """How old a mounted ConfigMap, Secret or token may be. A kubelet takes up to about 90."""
    back_off_seconds: float = 1.0
    """Before the first restart of a container that ended; doubled with each further one. A kubelet waits 10."""

    def folder(self, image: str) -> Path | None:
        """Where an image's programs are; None where there is none of that reference."""
        return next((Path(at) for pattern, at in self.images.items() if fnmatch.fnmatchcase(image, pattern)), None)

    def write(self, folder: Path) -> None:
        """Have the agent of this folder go by it from now on."""
        statefolder.write_json(folder / _FILE, asdict(self))


def read(folder: Path) -> Settings:
    """What was written last."""
    return Settings(**json.loads((folder / _FILE).read_text(encoding="utf-8")))
