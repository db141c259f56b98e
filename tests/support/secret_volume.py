"""A folder with the content of a Secret, replaced as a kubelet replaces it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

__all__ = ["SecretVolume"]


class SecretVolume:
    """Files that are links through ``..data``, a link that is moved to a folder with the next content, all at once."""

    def __init__(self, folder: Path, keys: tuple[str, ...] = ()) -> None:
        """Empty; of the ``keys``, all where none are named, those are shown that the Secret has."""
        self.folder, self._keys, self._numbers = folder, keys, itertools.count(1)
        folder.mkdir(parents=True, exist_ok=True)
        self._now: Path | None = None

    def write(self, content: Mapping[str, bytes]) -> None:
        """Show this content."""
        shown = {key: value for key, value in content.items() if not self._keys or key in self._keys}
        before, self._now = self._now, self.folder / f"..version-{next(self._numbers)}"
        self._now.mkdir()
        for key, value in shown.items():
            (self._now / key).write_bytes(value)
        moving = self.folder / "..data_tmp"
        moving.symlink_to(self._now.name)
        moving.replace(self.folder / "..data")
        for path in self.folder.iterdir():
            if not path.name.startswith("..") and path.name not in shown:
                path.unlink()
        for key in shown:
            if not (self.folder / key).is_symlink():
                (self.folder / key).symlink_to(Path("..data", key))
        if before is not None:
            shutil.rmtree(before)
