"""How is a kind of workload described?"""

import pytest

from bizrq.workloads.kind import KindError, built_in, load_kinds, read_kinds

TFJOB = """
kinds:
  - group: kubeflow.org
    version: v1
    resource: tfjobs
    kind: TFJob
    podGroups:
      - template: spec.worker.template
        replicas: [{path: spec.worker.replicas, default: 1}]
"""


def test_the_package_knows_these_kinds():
    assert [(kind.id, kind.url, kind.count_key) for kind in built_in()] == [
        ("deployments.apps", "/apis/apps/v1/deployments", "count/deployments.apps"),
        ("jobs.batch", "/apis/batch/v1/jobs", "count/jobs.batch"),
        ("replicasets.apps", "/apis/apps/v1/replicasets", "count/replicasets.apps"),
        ("pods", "/api/v1/pods", "count/pods"),
    ]


def test_a_core_kind_has_no_group_in_its_url_and_key():
    (kind,) = read_kinds(TFJOB.replace("kubeflow.org", "''").replace("tfjobs", "pods"), "f")
    assert (kind.url, kind.count_key, kind.id) == ("/api/v1/pods", "count/pods", "pods")


def test_a_file_adds_kinds(tmp_path):
    file = tmp_path / "more.yaml"
    file.write_text(TFJOB)
    assert [kind.id for kind in load_kinds(file)] == [*(kind.id for kind in built_in()), "tfjobs.kubeflow.org"]


def test_a_kind_described_twice_is_refused(tmp_path):
    file = tmp_path / "more.yaml"
    file.write_text(TFJOB.replace("kubeflow.org", "apps").replace("tfjobs", "deployments"))
    with pytest.raises(KindError, match=r"more\.yaml: deployments\.apps is described already"):
        load_kinds(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(KindError, match=r"none\.yaml: No such file"):
        load_kinds(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(("kinds:", "kinds: {"), "f: no YAML", id="no YAML"),
        pytest.param((TFJOB, "[]"), "f: must be a mapping", id="a list"),
        pytest.param((TFJOB, "kinds: 3"), "f: kinds must be a list, not 3", id="no list of kinds"),
        pytest.param(("    kind: TFJob\n", ""), r"f: kinds\[0\]: the field kind is missing", id="no kind"),
        pytest.param(
            ("version: v1", "version: 1"), r"f: kinds\[0\] \(TFJob\): version must be a str, not 1", id="a number"
        ),
        pytest.param(("resource: tfjobs", "resource: TFJobs"), "resource must be small letters", id="capitals"),
        pytest.param(
            ("    podGroups:", "    pods: 1\n    podGroups:"), r"\(TFJob\): unknown field pods", id="an unknown field"
        ),
        pytest.param(
            ("spec.worker.template", "spec..template"),
            r"podGroups\[0\]: template must be names of fields with dots between them, not 'spec\.\.template'",
            id="a broken path",
        ),
        pytest.param(("[{path: spec.worker.replicas, default: 1}]", "[]"), "at least one number", id="no replicas"),
        pytest.param(
            ("        replicas: [{path: spec.worker.replicas, default: 1}]\n", ""),
            r"podGroups\[0\]: the field replicas is missing",
            id="no replicas of a template that is a part of the object",
        ),
        pytest.param(("default: 1", "default: yes"), r"replicas\[0\]: default must be a int, not True", id="a bool"),
    ],
)
def test_a_wrong_description_is_refused_with_file_kind_and_field(change, message):
    text = TFJOB.replace(*change)
    assert text != TFJOB
    with pytest.raises(KindError, match=message):
        read_kinds(text, "f")
