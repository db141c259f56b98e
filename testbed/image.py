"""What is in the image, where there is no engine to build it?

The first stage of the Dockerfile is carried out on this machine: its COPY lines into a folder, its RUN lines with a
shell there, and what they make in /opt is made in the cache in its place. So what runs in a test bed is what the image
has, from the pinned requirements to the wheel, and a Dockerfile that misses a file fails here, too.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from testbed import build, statefolder
from testbed.control import ROOT
from testbed.errors import BuildFailed
from testbed.progress import Progress

REFERENCES: Final = "*bizrq:*"
"""However the image is called, and wherever it comes from."""
_STAGE: Final = re.compile(r"^FROM .*? AS build\n(.*?)^FROM ", re.MULTILINE | re.DOTALL)
_ONLY_PIP: Final = re.compile(r"(PIP_\w+=\S+ ?)+")
_MADE: Final = "/opt/bizrq"
_OPT: Final = "/opt/"
_LOG: Final = "build.log"
_READY: Final = ".ready"
_UNUSED_SECONDS: Final = 24 * 3600.0
_KEY_DIGITS: Final = 16
_NO_SOURCE: Final = shutil.ignore_patterns("__pycache__", "*.egg-info")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a Dockerfile."""

    name: str
    text: str


def steps(dockerfile: str) -> list[Step]:
    """The instructions of its first stage, lines that go on put together."""
    stage = _STAGE.search(dockerfile)
    if stage is None:
        raise BuildFailed("the Dockerfile has no first stage of the name build")
    lines = (line for line in stage[1].splitlines() if not line.lstrip().startswith("#"))
    whole = re.sub(r"\\\n", " ", "\n".join(lines))
    return [Step(*line.split(maxsplit=1)) for line in whole.splitlines() if line.strip()]


def ensure(progress: Progress, root: Path = ROOT) -> Path:
    """The folder that stands for the image of a checkout: ``bin`` in it has bizrq. Made unless it is there.

    Raises BuildFailed.
    """
    todo = steps((root / "Dockerfile").read_text(encoding="utf-8"))
    cache = build.cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"image-{_key(root, todo)}"
    with (cache / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (target / _READY).exists():
            _delete_unused(cache)
            shutil.rmtree(target, ignore_errors=True)
            progress.say("making the content of the image: about half a minute")
            _make(root, todo, target)
        (target / _READY).touch()  # also that it was used
    return target / Path(_MADE).name


def _key(root: Path, todo: list[Step]) -> str:
    """What the content depends on, as a hash: the steps, what they copy, and which Python."""
    digest = hashlib.sha256(repr((todo, sys.version, sys.platform)).encode())
    for source in _sources(root, todo):
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file() and not {"__pycache__", "bizrq.egg-info"} & set(path.parts):
                content = path.read_bytes()
                digest.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:_KEY_DIGITS]


def _sources(root: Path, todo: list[Step]) -> Iterator[Path]:
    for step in todo:
        if step.name == "COPY":
            for name in step.text.split()[:-1]:
                if not (root / name).exists():
                    raise BuildFailed(f"the Dockerfile copies {name}, which this checkout does not have")
                yield root / name


def _make(root: Path, todo: list[Step], target: Path) -> None:
    target.mkdir()
    with tempfile.TemporaryDirectory(prefix="bizrq-image-") as folder, (target / _LOG).open("wb") as log:
        work = Path(folder) / "src"
        work.mkdir()
        for step in todo:
            match step.name:
                case "COPY":
                    *names, to = step.text.split()
                    for name in names:
                        _copy(root / name, work / to, into=to.endswith("/"))
                case "RUN":
                    _run(step.text.replace(_OPT, f"{target}/"), work, log.fileno(), target)
                case "WORKDIR":
                    pass  # it is the folder
                case "ENV" if _ONLY_PIP.fullmatch(step.text):
                    pass  # what keeps a layer small: here pip's cache may help
                case _:
                    raise BuildFailed(f"the test bed cannot do this step of the Dockerfile: {step.name} {step.text}")


def _copy(source: Path, to: Path, *, into: bool) -> None:
    if source.is_dir():
        shutil.copytree(source, to, ignore=_NO_SOURCE, dirs_exist_ok=True)
        return
    (to if into else to.parent).mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, to)


def _run(command: str, work: Path, log: int, target: Path) -> None:
    """As an engine does it, but that ``python`` is the one that this process has."""
    python = Path(sys.base_prefix) / "bin"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    path = f"{python}:{env.get('PATH', os.defpath)}"
    done = subprocess.run(
        ["sh", "-ec", command], cwd=work, env={**env, "PATH": path}, stdout=log, stderr=log, check=False
    )
    if done.returncode:
        tail = statefolder.last_lines(target / _LOG)
        raise BuildFailed(f"a step of the Dockerfile failed: {command}\n{tail}\nlog: {target / _LOG}")


def _delete_unused(cache: Path) -> None:
    """They are large, and each change of the checkout makes one."""
    for folder in cache.glob("image-*"):
        mark = folder / _READY
        if not mark.exists() or time.time() - mark.stat().st_mtime > _UNUSED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
