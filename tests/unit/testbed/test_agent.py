"""Does the node agent put into words and files what a kubelet does?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from testbed.agent import files, status
from testbed.agent.endpoints import slice_of
from testbed.agent.fields import Unknown, environment, expanded, field
from testbed.agent.kube import JSON
from testbed.agent.settings import Settings

RUNS: JSON = {"running": {}}
GOOD, BAD = ({"terminated": {"exitCode": code}} for code in (0, 1))
WAITS: JSON = {"waiting": {}}
POD: JSON = {
    "metadata": {"name": "it", "namespace": "here", "labels": {"a/b": "c"}},
    "spec": {"nodeName": "agent"},
    "status": {},
}


@pytest.mark.parametrize(
    ("states", "policy", "phase"),
    [
        ([WAITS, WAITS], "Always", "Pending"),
        ([RUNS, WAITS], "Always", "Running"),
        ([RUNS, BAD], "Never", "Running"),
        ([GOOD, GOOD], "Never", "Succeeded"),
        ([GOOD, BAD], "Never", "Failed"),
        ([GOOD, GOOD], "OnFailure", "Succeeded"),
        ([GOOD, BAD], "OnFailure", "Running"),
        ([GOOD], "Always", "Running"),
        ([GOOD, WAITS], "Always", "Running"),
    ],
)
def test_the_phase_of_a_pod_follows_from_its_containers_and_its_restart_policy(states, policy, phase):
    assert status.phase(states, policy) == phase


def test_a_condition_keeps_the_time_of_its_transition_until_the_next_one():
    def told(before, when, *, ready):
        made = status.conditions(before, [{"name": "main", "ready": ready}], "Running", when)
        return made, {one["type"]: (one["status"], one["lastTransitionTime"]) for one in made}

    first, said = told([], "1", ready=False)
    assert said["Ready"] == said["ContainersReady"] == ("False", "1")
    assert said["Initialized"] == ("True", "1")
    second, said = told(first, "2", ready=True)
    assert said["Ready"] == ("True", "2")
    assert said["Initialized"] == ("True", "1")
    third, said = told(second, "3", ready=True)
    assert said["Ready"] == ("True", "2")
    assert status.is_ready({"conditions": third})
    assert not status.is_ready({"conditions": first})
    assert not status.is_ready({})


def test_files_are_links_by_way_of_one_that_is_replaced(tmp_path):
    folder = tmp_path / "volume"
    assert files.publish(folder, {"a": b"1", "deep/er": b"2", "old": b"3"}, 0o440)
    before = (folder / "..data").readlink()
    assert (folder / "a").readlink().as_posix() == "..data/a"
    assert (folder / "a").stat().st_mode & 0o777 == 0o440
    assert not files.publish(folder, {"a": b"1", "deep/er": b"2", "old": b"3"})
    assert files.publish(folder, {"a": b"4", "deep/er": b"5"})
    assert (folder / "..data").readlink() != before
    assert not (folder / before).exists()
    assert [(folder / name).read_bytes() for name in ("a", "deep/er")] == [b"4", b"5"]
    assert not (folder / "old").is_symlink()
    assert files.publish(folder, {})
    assert [path.name for path in folder.iterdir() if not path.name.startswith("..")] == []


def test_variables_refer_to_fields_of_the_pod_and_to_variables_before_them():
    named = {
        "metadata.labels['a/b']": "c",
        "metadata.name": "it",
        "status.podIP": "192.0.2.9",
        "spec.nodeName": "agent",
    }
    env = [{"name": f"V{number}", "valueFrom": {"fieldRef": {"fieldPath": path}}} for number, path in enumerate(named)]
    env.append({"name": "ALL", "value": "$(V0)-$(GIVEN)-$(LATER)-$$(V0)"})
    made = environment(POD, {"env": [*env, {"name": "LATER", "value": "x"}]}, {"GIVEN": "g"}, "192.0.2.9")
    assert [made[f"V{number}"] for number in range(len(named))] == list(named.values())
    assert made["ALL"] == "c-g-$(LATER)-$(V0)"
    assert expanded("$(V1)$$$", made) == "it$$"


@pytest.mark.parametrize("path", ["spec", "spec.no.such", "metadata"])
def test_a_field_that_is_no_text_is_refused(path):
    with pytest.raises(Unknown, match=path):
        field(POD, path)


@pytest.mark.parametrize(
    ("ready", "terminating", "all_of_them", "told"),
    [
        (True, False, False, (True, True, False)),
        (False, False, False, (False, False, False)),
        (True, True, False, (False, True, True)),
        (False, False, True, (True, False, False)),
    ],
)
def test_an_endpoint_is_ready_as_its_pod_is_unless_the_service_wants_all(ready, terminating, all_of_them, told):
    pod: Any = SimpleNamespace(
        obj={**POD, "metadata": {**POD["metadata"], "uid": "1"}},
        status={"conditions": [{"type": "Ready", "status": str(ready)}]},
        terminating=terminating,
        ports={"https": 7, 443: 7},
    )
    service: JSON = {
        "metadata": {"name": "s", "namespace": "here", "uid": "2"},
        "spec": {
            "ports": [{"name": "a", "port": 1, "targetPort": "https"}, {"name": "b", "port": 443}, {"port": 5}],
            "publishNotReadyAddresses": all_of_them,
        },
    }
    made = slice_of(service, pod, "192.0.2.9")
    assert [(port["name"], port["port"]) for port in made["ports"]] == [("a", 7), ("b", 7)]
    (end,) = made["endpoints"]
    assert tuple(end["conditions"][name] for name in ("ready", "serving", "terminating")) == told


def test_an_image_is_found_by_the_first_pattern_that_fits():
    settings = Settings(images={"x/bizrq:2": "/two", "*bizrq:*": "/any"})
    assert str(settings.folder("x/bizrq:2")) == "/two"
    assert str(settings.folder("bizrq:3")) == "/any"
    assert settings.folder("other:3") is None
