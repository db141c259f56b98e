"""Can everything under examples/ be applied as it stands?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import yaml

from testbed import operator_process

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

EXAMPLES: Final = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def kubectl(cluster):
    """The shared cluster's kubectl, with the CRD installed; what the examples make is deleted in the end."""
    operator_process.install(cluster.kubectl)
    yield cluster.kubectl
    for example in reversed(EXAMPLES):
        cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", str(example))


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_applied(kubectl, example):
    """Kubectl refuses fields that the API server does not know."""
    names = [each["metadata"]["name"] for each in yaml.safe_load_all(example.read_text(encoding="utf-8"))]
    lines = kubectl("apply", "-f", str(example)).splitlines()
    assert [line.split("/")[-1] for line in lines] == [f"{name} created" for name in names]
