"""How are files replaced under a running process, all at once?

As the kubelet does it: the files lie in a folder of their own, ``..data`` is a link to it, and the names that the
process opens are links by way of ``..data``. A new set is written beside the old one, and then ``..data`` is replaced.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_DATA: Final = "..data"


def publish(folder: Path, files: Mapping[str, bytes], mode: int = 0o644) -> bool:
    """Have the folder show these files, by relative path, and no others; whether anything was written for it."""
    if _shown(folder) == files:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=time.strftime("..%Y_%m_%d_%H_%M_%S.", time.gmtime()), dir=folder))
    new.chmod(0o755)
    for name, content in files.items():
        path = new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    data = folder / _DATA
    old = data.readlink() if data.is_symlink() else None
    link = folder / f"{_DATA}_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(new.name)
    link.replace(data)
    tops = {Path(name).parts[0] for name in files}
    for name in tops:
        with contextlib.suppress(FileExistsError):
            (folder / name).symlink_to(f"{_DATA}/{name}")
    for entry in folder.iterdir():
        if not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if old:
        shutil.rmtree(folder / old)
    return True


def _shown(folder: Path) -> dict[str, bytes] | None:
    """What is shown now; None before the first time."""
    data = folder / _DATA
    if not data.is_symlink():
        return None
    return {str(path.relative_to(data)): path.read_bytes() for path in data.rglob("*") if path.is_file()}
