"""Does the tour notice when it does not show what it says?"""

from __future__ import annotations

import io
import stat
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from testbed import demo, demo_show
from testbed.demo_read import cells, charged
from testbed.demo_show import Screen, ShowError
from testbed.errors import KubectlFailed

PROGRAM = """#!/bin/sh
case "$1" in
  get) echo "NAME   PARENT   CPU"; echo "acme            1/2" ;;
  apply) cat ;;
  warn) echo "Warning: nearly full" >&2; echo "created" ;;
  *) echo "Error from server (Forbidden): exceeded quota: team" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def screen(tmp_path):
    """A screen over a program that plays kubectl; what it shows is in ``screen.console.file``."""
    program = tmp_path / "kubectl"
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    kubectl = SimpleNamespace(program=program, kubeconfigs={"admin": tmp_path / "config"}, cache=tmp_path)
    console = Console(file=io.StringIO(), width=200)
    cluster: Any = SimpleNamespace(kubectl=kubectl)
    return Screen(console, cluster)


def shown(screen: Screen) -> str:
    """All that was printed."""
    assert isinstance(screen.console.file, io.StringIO)
    return screen.console.file.getvalue()


def test_a_refusal_is_shown_as_kubectl_words_it(screen):
    screen.refused("scale", "web", says="exceeded quota: team")
    assert shown(screen).splitlines() == [
        "$ kubectl scale web",
        "Error from server (Forbidden): exceeded quota: team",
    ]


def test_what_should_be_refused_and_is_not_fails_the_tour(screen):
    with pytest.raises(ShowError, match="a refusal"):
        screen.refused("get", says="exceeded quota")


def test_a_refusal_with_other_words_fails_the_tour(screen):
    with pytest.raises(ShowError, match="largest replica count"):
        screen.refused("scale", says="the largest replica count that fits is 6")


def test_what_should_be_accepted_and_is_not_fails_the_tour(screen):
    with pytest.raises(KubectlFailed, match="kubectl scale web: exit code 1"):
        screen.kubectl("scale", "web")


def test_warnings_are_shown(screen):
    assert screen.kubectl("warn").splitlines() == ["Warning: nearly full", "created"]


def test_a_changed_example_is_applied_with_the_command_that_changes_it(screen):
    applied = screen.apply_changed("examples/04-too-large.yaml", "replicas: 12", "replicas: 6")
    assert "\n  replicas: 6\n" in applied
    assert "$ sed 's/replicas: 12/replicas: 6/' examples/04-too-large.yaml | kubectl apply -f -" in shown(screen)


def test_what_never_comes_fails_the_tour(screen, monkeypatch):
    monkeypatch.setattr(demo_show, "_DEADLINE_SECONDS", 0.0)
    monkeypatch.setattr(demo_show, "_POLL_SECONDS", 0.0)
    with pytest.raises(ShowError, match="in vain for this: 16 cores"):
        screen.wait("16 cores", lambda: None)


@pytest.mark.parametrize(("error", "code"), [(None, 0), (ShowError("no"), 1), (KubectlFailed("no"), 1)])
def test_the_exit_code_says_whether_all_was_shown(error, code, monkeypatch, tmp_path):
    """And the test bed is stopped whatever happens."""
    stopped = []
    cluster = SimpleNamespace(description={}, stop=lambda *, keep_logs: stopped.append(keep_logs))

    def run(_tour):
        if error:
            raise error

    monkeypatch.delenv("KEEP", raising=False)
    monkeypatch.setattr("tempfile.mkdtemp", lambda prefix: str(tmp_path / prefix))
    monkeypatch.setattr(demo, "Cluster", lambda *_, **__: cluster)
    monkeypatch.setattr(demo, "check_machine", lambda: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(demo.Tour, "run", run)
    assert demo.main() == code
    assert stopped == [error is not None]


def test_cells_of_a_table_may_be_empty():
    assert cells("NAME   PARENT   CPU\nacme            1/2\nteam   acme\n") == [
        {"NAME": "acme", "PARENT": "", "CPU": "1/2"},
        {"NAME": "team", "PARENT": "acme", "CPU": ""},
    ]


def test_a_pod_is_charged_from_its_node_to_its_end():
    pod = {
        "spec": {"containers": [{"resources": {"limits": {"cpu": "4"}}}]},
        "status": {
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "1970-01-01T00:00:10Z"}],
            "containerStatuses": [{"state": {"terminated": {"finishedAt": "1970-01-01T00:00:15Z"}}}],
        },
    }
    assert charged(pod, "limits.cpu", until=100) == 20
    assert charged(pod, "limits.cpu", until=12) == 8
    assert charged({**pod, "status": {}}, "limits.cpu", until=100) == 0
