"""Is the first stage of a Dockerfile carried out as an engine would do it?"""

from __future__ import annotations

import os
import time

import pytest

from testbed import image
from testbed.build import CACHE
from testbed.errors import BuildFailed
from testbed.progress import Progress

DOCKERFILE = r"""
ARG PYTHON=python:3
FROM ${PYTHON} AS build
ENV PIP_ONE=1 PIP_TWO=2
WORKDIR /src
# a comment
COPY one two parts/
COPY folder folder
RUN mkdir /opt/bizrq \
 && cat parts/one parts/two folder/three > /opt/bizrq/all
FROM ${PYTHON}
RUN false
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    root = tmp_path / "checkout"
    (root / "folder").mkdir(parents=True)
    (root / "Dockerfile").write_text(DOCKERFILE)
    for name, text in (("one", "1"), ("two", "2"), ("folder/three", "3")):
        (root / name).write_text(text)
    return root


def made(checkout):
    return image.ensure(Progress(), checkout)


def test_the_steps_of_the_first_stage_are_taken_in_folders_of_this_machine(checkout):
    assert (made(checkout) / "all").read_text() == "123"


def test_it_is_made_once_for_the_same_content(checkout):
    first = made(checkout)
    (first / "mark").touch()
    assert made(checkout) == first
    assert (first / "mark").exists()
    (checkout / "folder" / "three").write_text("4")
    assert (made(checkout) / "all").read_text() == "124"


def test_a_step_that_fails_is_told_with_its_log_and_leaves_nothing_that_would_be_used(checkout):
    (checkout / "Dockerfile").write_text(DOCKERFILE.replace("cat ", "echo why; false; cat "))
    for _ in range(2):
        with pytest.raises(BuildFailed, match="why"):
            made(checkout)


def test_a_step_that_is_not_known_here_is_not_passed_over(checkout):
    (checkout / "Dockerfile").write_text(DOCKERFILE.replace("PIP_TWO=", "TWO="))
    with pytest.raises(BuildFailed, match="cannot do this step of the Dockerfile: ENV PIP_ONE=1 TWO=2"):
        made(checkout)


def test_a_file_that_is_missing_is_named(checkout):
    (checkout / "two").unlink()
    with pytest.raises(BuildFailed, match="copies two, which"):
        made(checkout)


def test_what_nobody_used_for_a_day_is_deleted_when_another_is_made(checkout):
    first = made(checkout)
    day_old = time.time() - 25 * 3600
    os.utime(first.parent / ".ready", (day_old, day_old))
    (checkout / "one").write_text("0")
    second = made(checkout)
    assert not first.exists()
    (checkout / "one").write_text("9")
    made(checkout)
    assert second.exists()
