"""Where are a part's programs: in KUBEBUILDER_ASSETS, in the cache, or built there now?

A cache entry is made whole in a folder of another name and then renamed, under a lock a part: two builds at once share
one result, and a build that is killed leaves nothing that looks finished. What it leaves is deleted by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import BuildFailed
from testbed.prerequisites import check_go
from testbed.processes import die_with
from testbed.progress import clock
from testbed.statefolder import last_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from testbed.parts import Part
    from testbed.progress import Progress

ASSETS = "KUBEBUILDER_ASSETS"
CACHE = "BIZRQ_TESTBED_CACHE"
_POLL_SECONDS = 0.1
_UNFINISHED = ".unfinished-"


def cache_folder() -> Path:
    """Where built parts are kept."""
    named = os.environ.get(CACHE)
    return Path(named).absolute() if named else Path.home() / ".cache" / "bizrq-testbed"


def entry(part: Part) -> Path:
    """The cache's folder for this part as it is now; it may not be there."""
    return cache_folder() / f"{part.name}-{part.key()}"


def locate(part: Part, progress: Progress) -> Path | None:
    """The folder with the part's programs, without building; None if there is none."""
    assets = os.environ.get(ASSETS)
    if assets:
        missing = part.missing_in(Path(assets))
        if not missing:
            return Path(assets).absolute()
        progress.say(f"{ASSETS} lacks {missing} of {part.name}: looking in the cache")
    cached = entry(part)
    return cached if not part.missing_in(cached) else None


def ensure(parts: Sequence[Part], progress: Progress) -> dict[str, Path]:
    """The folder of each part by its name; what is not there yet is built.

    Raises MissingTool before anything is built, BuildFailed.
    """
    found = {part.name: locate(part, progress) for part in parts}
    wanted = [part for part in parts if found[part.name] is None]
    if wanted:
        cache = cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        go = check_go(wanted, cache)
        total = clock(sum(part.cold_seconds for part in wanted))
        progress.say(
            f"building {', '.join(part.name for part in wanted)} into {cache}: about {total} on 2 cores "
            "where Go has not built them before; later starts find them there"
        )
        for part in wanted:
            found[part.name] = _build_once(part, go, progress)
    return {name: folder for name, folder in found.items() if folder is not None}


def _build_once(part: Part, go: str, progress: Progress) -> Path:
    target = entry(part)
    with _locked(target.parent / f"{part.name}.lock", part, progress):
        for leftover in target.parent.glob(f"{part.name}-*{_UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if not part.missing_in(target):
            progress.say(f"{part.name}: somebody else built it meanwhile")
            return target
        shutil.rmtree(target, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{target.name}{_UNFINISHED}", dir=target.parent))
        try:
            _build(part, go, unfinished, progress)
            unfinished.chmod(0o755)  # mkdtemp makes it private
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


@contextlib.contextmanager
def _locked(path: Path, part: Part, progress: Progress) -> Iterator[None]:
    """Hold the lock on a part; wait for whoever builds it now. The kernel gives up the lock of a killed process."""
    with path.open("w") as file:
        start = time.monotonic()
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress.tick(
                    f"{part.name}: another process builds it, waiting", time.monotonic() - start, part.cold_seconds
                )
                time.sleep(_POLL_SECONDS)
        yield


def _build(part: Part, go: str, folder: Path, progress: Progress) -> None:
    log = cache_log(part)
    log.parent.mkdir(exist_ok=True)
    start = time.monotonic()
    _go(part, [go, "build", "-v", "-trimpath", f"-ldflags={part.ldflags}", "-o", f"{folder}/", "tool"], log, progress)
    for made, name in part.renamed.items():
        (folder / made).rename(folder / name)
    for files in part.files:
        source = subprocess.run(
            [go, "list", "-m", "-f", "{{.Dir}}", files.module],
            cwd=part.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        (folder / files.folder).mkdir(exist_ok=True)
        for file in Path(source.stdout.strip() or "/nonexistent").glob(files.pattern):
            shutil.copyfile(file, folder / files.folder / file.name)  # not its mode: module folders are read-only
    missing = part.missing_in(folder)
    if missing:
        raise BuildFailed(f"{part.name}: go build ended well but gave no {missing}; log: {log}")
    progress.say(f"{part.name}: built in {clock(time.monotonic() - start)}")


def cache_log(part: Part) -> Path:
    """The log of the last build of this part."""
    return cache_folder() / "logs" / f"{part.name}.log"


def _go(part: Part, argv: list[str], log: Path, progress: Progress) -> None:
    """Run the build and tell how it goes; it does not outlive this process, nor an exception in it."""
    start = time.monotonic()
    with log.open("wb") as output:
        # No thread runs beside us, which makes preexec_fn safe. SIGINT, because go cleans up after that one.
        process = subprocess.Popen(
            argv,
            cwd=part.folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
            preexec_fn=die_with(os.getpid(), signal.SIGINT),  # noqa: PLW1509
        )
        try:
            while process.poll() is None:
                elapsed = time.monotonic() - start
                progress.tick(f"{part.name} {_compiled(log)}", elapsed, part.cold_seconds)
                time.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode:
        raise BuildFailed(
            f"building {part.name} failed ({' '.join(argv)} in {part.folder}):\n{last_lines(log)}\nlog: {log}"
        )


def _compiled(log: Path) -> str:
    """How far go is: with -v it prints each package that it compiles."""
    lines = log.read_bytes().splitlines()
    return f"({len(lines)} packages) {lines[-1].decode(errors='replace')}" if lines else ""


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
