"""Is in the image what has to be, and nothing else? tests/e2e/test_install.py runs both processes from it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bizrq import __version__
from testbed import image
from testbed.control import ROOT
from testbed.progress import Progress

pytestmark = [pytest.mark.e2e, pytest.mark.parts("image")]

DOCKERFILE = (ROOT / "Dockerfile").read_text()
LAST_STAGE = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
LIST = """
import importlib.metadata, json
print(json.dumps({each.name.lower().replace("_", "-"): each.version for each in importlib.metadata.distributions()}))
"""


@pytest.fixture(scope="module")
def content():
    """The folder that stands for /opt/bizrq in the image."""
    return image.ensure(Progress())


def run(program, *arguments):
    """Nothing of this process's environment helps."""
    return subprocess.run([program, *arguments], env={}, cwd="/", capture_output=True, text=True, check=True).stdout


def test_the_linter_finds_nothing_in_the_dockerfile():
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_has_what_the_first_stage_made_a_user_that_is_a_number_and_bizrq_as_its_entry_point():
    assert re.findall(r"^COPY .*", LAST_STAGE, re.MULTILINE) == ["COPY --from=build /opt/bizrq /opt/bizrq"]
    assert "\nRUN " not in LAST_STAGE
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", LAST_STAGE, re.MULTILINE)
    assert LAST_STAGE.rstrip().endswith('ENTRYPOINT ["bizrq"]')
    assert f"ARG VERSION={__version__}\n" in LAST_STAGE


def test_nothing_is_sent_to_the_engine_but_what_is_copied():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name.partition("/")[0] for step in image.steps(DOCKERFILE) if step.name == "COPY"
              for name in step.text.split()[:-1]}  # fmt: skip
    assert let_in == copied


def test_its_libraries_are_those_that_are_pinned_and_no_others(content):
    found = json.loads(run(content / "bin" / "python", "-c", LIST))
    pins = re.findall(
        r"^([\w.-]+)==([^\s;]+) *(;.*)?\\$", (ROOT / "requirements/runtime.txt").read_text(), re.MULTILINE
    )
    pinned = {name: version for name, version, _ in pins}
    assert found.pop("bizrq") == __version__
    assert {name: pinned.get(name) for name in found} == found
    assert {name for name, _, marker in pins if not marker.strip()} <= found.keys()


def test_every_file_of_the_package_is_in_it(content):
    package = Path(run(content / "bin" / "python", "-c", "import bizrq; print(bizrq.__path__[0])").strip())
    assert package.is_relative_to(content)

    def files(folder):
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}

    assert {"py.typed", "workloads/built_in.yaml"} <= files(package)
    assert files(package) == files(ROOT / "operator" / "bizrq")


def test_of_the_machine_its_libraries_need_no_more_than_a_slim_image_has(content):
    shared = [str(path) for path in content.rglob("*.so*") if not path.is_symlink()]
    assert len(shared) > 20
    needed = re.findall(r"^\t(\S+?)(?:-linux\S+)?\.so\S* ", run("/usr/bin/env", "ldd", *shared), re.MULTILINE)
    of_glibc = {"libc", "libdl", "libm", "libpthread", "librt", "libutil", "linux-vdso", "/lib64/ld", "/lib/ld"}
    ours = {path.name.partition(".so")[0] for path in content.rglob("*.so*")}
    assert {Path(name).name for name in needed} - ours - {Path(name).name for name in of_glibc} <= {
        "libgcc_s",
        "libstdc++",
    }


def test_bizrq_is_there_by_its_name(content):
    assert run(content / "bin" / "bizrq", "--version") == f"bizrq {__version__}\n"
