"""Does every file under examples/ show what its header says, with the controller and the webhooks?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from testbed.errors import KubectlFailed
from tests.support.kube import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "examples"

APPLIED: Final = ["01-tree.yaml", "02-deployment.yaml", "03-burst-of-jobs.yaml"]
"""Those that fit, in this order."""

REFUSED: Final = {
    "04-too-large.yaml": "exceeded quota: team-vision, requested: limits.cpu=48, used: limits.cpu=16, "
    "limited: limits.cpu=40; the largest replica count that fits is 6",
    "05-too-large-child.yaml": "exceeded quota: dept-ai, requested: limits.cpu=100, used: limits.cpu=40, "
    "limited: limits.cpu=120; a child's quota is taken from its parent's: dept-ai has limits.cpu=80 left to grant",
}
"""Those that do not, with 01 and 02 there, and what is said to whoever tries."""

_SED: Final = re.compile(r"sed 's/(?P<old>[^/]+)/(?P<new>[^/]+)/' examples/(?P<name>\S+) \| kubectl apply -f -")


@pytest.fixture(scope="module")
def kubectl(cluster):
    """The shared cluster's kubectl, with a controller, and webhooks that review the namespace of the examples."""
    kubectl = cluster.kubectl
    with cluster.start_webhooks() as webhooks:
        controller = cluster.start_operator(["--resync-seconds=5"], install=False)
        here = {"matchLabels": {"kubernetes.io/metadata.name": "default"}}
        webhooks.install(namespace_selector=here, scale_namespace_selector=here)
        try:
            yield kubectl
        finally:
            webhooks.uninstall()
            for name in sorted([*APPLIED, *REFUSED], reverse=True):  # the tree last
                kubectl("delete", "--ignore-not-found", "-f", str(EXAMPLES / name))
            controller.terminate()


def names(text: str) -> list[str]:
    """The names of the objects of an example."""
    return [each["metadata"]["name"] for each in yaml.safe_load_all(text)]


def applied(kubectl, text: str) -> None:
    """Apply an example; all of it must be new."""
    lines = kubectl("apply", "-f", "-", stdin=text).splitlines()
    assert [line.split("/")[-1] for line in lines] == [f"{name} created" for name in names(text)]


def used(kubectl, bizrq: str, key: str) -> str:
    """What the status says is used; "" before it says anything."""
    status = json.loads(kubectl("get", "bizrq", bizrq, "-o", "json")).get("status") or {}
    return str(status.get("used", {}).get(key, ""))


def test_every_example_is_tried_here():
    assert sorted([*APPLIED, *REFUSED]) == sorted(path.name for path in EXAMPLES.glob("*.yaml"))


@pytest.mark.parametrize("name", APPLIED[:2])
def test_what_fits_is_stored(kubectl, name):
    """Kubectl refuses fields that the API server does not know, and asks again where a parent is new [A13]."""
    applied(kubectl, (EXAMPLES / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "message"), REFUSED.items())
def test_what_does_not_fit_is_refused_and_the_command_of_its_header_has_it_fit(kubectl, name, message):
    """A refusal says what would fit [A2, T3], and that is stored."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    before = used(kubectl, "team-vision", "limits.cpu")
    with pytest.raises(KubectlFailed) as refusal:
        kubectl("apply", "-f", str(EXAMPLES / name))
    assert str(refusal.value).endswith(f"denied the request: {message}")
    assert "Error from server (Forbidden)" in str(refusal.value)
    command = _SED.search(text)
    assert command, "the header says how it fits"
    assert command["name"] == name
    changed = text.split("\napiVersion", 1)[1].replace(command["old"], command["new"])
    applied(kubectl, "apiVersion" + changed)
    kubectl("delete", "-f", str(EXAMPLES / name))  # waits until it is gone
    wait_until(lambda: used(kubectl, "team-vision", "limits.cpu") == before, "its pods are gone too [P5]", 30)


def test_jobs_take_cards_and_give_them_back(kubectl):
    """The burst holds all 8 cards, and none when the Jobs are complete [A1, T3]."""
    applied(kubectl, (EXAMPLES / APPLIED[2]).read_text(encoding="utf-8"))
    assert used(kubectl, "team-vision", "requests.nvidia.com/gpu") == "8"
    wait_until(lambda: used(kubectl, "team-vision", "requests.nvidia.com/gpu") == "0", "the cards are back", 60)
