"""In which namespace are we? The rest is tried against the real API server."""

import pytest

from bizrq.cluster import credentials
from bizrq.cluster.credentials import pod_namespace


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A pod in the namespace quotas, without any kubeconfig."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    (tmp_path / "namespace").write_text("quotas\n")
    monkeypatch.setattr(credentials, "_NAMESPACE_FILE", tmp_path / "namespace")
    return tmp_path


def test_in_a_pod_it_is_that_of_the_pod(home):
    assert pod_namespace() == "quotas"


def test_with_a_kubeconfig_there_is_none_for_it_may_lead_to_another_cluster(home, monkeypatch):
    (home / ".kube").mkdir()
    (home / ".kube" / "config").touch()
    assert pod_namespace() is None
    monkeypatch.setenv("HOME", str(home / "elsewhere"))
    assert pod_namespace() == "quotas"
    monkeypatch.setenv("KUBECONFIG", "some.yaml")
    assert pod_namespace() is None


def test_a_user_without_a_home_has_no_kubeconfig(home, monkeypatch):
    """As in a container, whose user the machine does not know."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    assert pod_namespace() == "quotas"


@pytest.mark.parametrize("content", [None, "", "\n"], ids=["no file", "empty", "blank"])
def test_outside_of_a_cluster_there_is_none(home, content):
    file = home / "namespace"
    file.unlink()
    if content is not None:
        file.write_text(content)
    assert pod_namespace() is None
