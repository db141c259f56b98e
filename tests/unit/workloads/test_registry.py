"""How is a kind of workload described, and what is wrong with a description?"""

import pytest

from bizrq.workloads.kind import Resource
from bizrq.workloads.registry import KindError, between, built_in, lenders, load_kinds, read_kinds

WIDGET = """
kinds:
  - group: example.com
    version: v1
    resource: widgets
    kind: Widget
    podGroups:
      - template: spec.worker.template
        replicas: object.spec.worker.?replicas.orValue(1)
    nothingWhen:
      - object.spec.paused
"""

CHILDREN = """
kinds:
  - group: example.com
    version: v1
    resource: widgets
    kind: Widget
    children: counted
    childLabels: spec.labels
"""


def test_the_package_knows_these_kinds():
    assert [kind.id for kind in built_in()] == [
        "deployments.apps",
        "jobs.batch",
        "statefulsets.apps",
        "replicationcontrollers",
        "replicasets.apps",
        "pods",
        "cronjobs.batch",
        "rollouts.argoproj.io",
        "tfjobs.kubeflow.org",
        "pytorchjobs.kubeflow.org",
        "trainjobs.trainer.kubeflow.org",
        "jobsets.jobset.x-k8s.io",
        "leaderworkersets.leaderworkerset.x-k8s.io",
        "rayclusters.ray.io",
        "rayjobs.ray.io",
        "rayservices.ray.io",
    ]


def test_a_kind_knows_its_url_and_the_key_that_counts_it():  # [K1]
    deployment = built_in()[0]
    assert (deployment.url, deployment.count_key) == ("/apis/apps/v1/deployments", "count/deployments.apps")


def test_a_core_kind_has_no_group_in_its_url_and_key():
    (kind,) = read_kinds(WIDGET.replace("example.com", "''").replace("widgets", "pods"), "f")
    assert (kind.url, kind.count_key, kind.id) == ("/api/v1/pods", "count/pods", "pods")


def test_what_stands_between_is_each_named_once():
    text = WIDGET + "    between: [{group: batch, version: v1, resource: jobs, kind: Job}]\n"
    kinds = (*read_kinds(text, "f"), *read_kinds(text, "f"))
    assert between(kinds) == (Resource("batch", "v1", "jobs", "Job"),)


def test_a_file_adds_kinds(tmp_path):
    file = tmp_path / "more.yaml"
    file.write_text(WIDGET)
    assert [kind.id for kind in load_kinds(file)] == [*(kind.id for kind in built_in()), "widgets.example.com"]


def test_a_kind_described_twice_is_refused(tmp_path):
    file = tmp_path / "more.yaml"
    file.write_text(WIDGET.replace("example.com", "apps").replace("widgets", "deployments"))
    with pytest.raises(KindError, match=r"more\.yaml: deployments\.apps is described already"):
        load_kinds(file)


@pytest.mark.parametrize(
    ("group", "plural", "kind", "message"),
    [
        ("apps", "deployment", "Deployment", "the kind Deployment of apps is described already"),
        ("", "po", "Pod", "the kind Pod of the core is described already"),
    ],
)
def test_a_kind_described_again_under_another_plural_is_refused(tmp_path, group, plural, kind, message):
    """It would take the place of the right one where owners are looked up [A8]."""
    file = tmp_path / "more.yaml"
    text = WIDGET.replace("group: example.com", f"group: '{group}'").replace("kind: Widget", f"kind: {kind}")
    file.write_text(text.replace("resource: widgets", f"resource: {plural}"))
    with pytest.raises(KindError, match=rf"more\.yaml: {message}"):
        load_kinds(file)


def test_a_file_that_is_no_text_is_named(tmp_path):
    file = tmp_path / "more.yaml"
    file.write_bytes(WIDGET.encode() + b"# caf\xe9\n")
    with pytest.raises(KindError, match=r"more\.yaml: no text in UTF-8: .* at byte"):
        load_kinds(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(KindError, match=r"none\.yaml: No such file"):
        load_kinds(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(("kinds:", "kinds: {"), "f: no YAML", id="no YAML"),
        pytest.param((WIDGET, "[]"), "f: must be a mapping", id="a list"),
        pytest.param((WIDGET, "kinds: 3"), "f: kinds must be a list, not 3", id="no list of kinds"),
        pytest.param((WIDGET, "kinds: []\nkind: 3"), "f: unknown field kind", id="more than kinds"),
        pytest.param(("    kind: Widget\n", ""), r"f: kinds\[0\]: the field kind is missing", id="no kind"),
        pytest.param(
            ("version: v1", "version: 1"), r"f: kinds\[0\] \(Widget\): version must be a str, not 1", id="a number"
        ),
        pytest.param(("resource: widgets", "resource: Widgets"), "resource must be small letters", id="capitals"),
        pytest.param(
            ("    podGroups:", "    pods: 1\n    podGroups:"), r"\(Widget\): unknown field pods", id="an unknown field"
        ),
        pytest.param(
            ("spec.worker.template", "spec..template"),
            r"podGroups\[0\]: template must be names of fields with dots between them, not 'spec\.\.template'",
            id="a broken path",
        ),
        pytest.param(
            ("object.spec.worker.?replicas.orValue(1)", "object.spec..replicas"),
            r"f: kinds\[0\] \(Widget\): podGroups\[0\]: replicas is no expression that can be used: "
            r"'object\.spec\.\.replicas': 1:13: Syntax error",
            id="no expression",
        ),
        pytest.param(
            ("object.spec.worker.?replicas.orValue(1)", "spec.worker.replicas"),
            "undeclared reference to 'spec",
            id="a name that does not exist",
        ),
        pytest.param(
            ("object.spec.worker.?replicas.orValue(1)", "object.spec.worker.replicas > 1"),
            "its value is of type BOOL, and must be of type INT",
            id="a condition for a number",
        ),
        pytest.param(("object.spec.worker.?replicas.orValue(1)", "3"), "replicas must be a str, not 3", id="no text"),
        pytest.param(
            ("object.spec.paused", "'1 + 1'"),
            r"nothingWhen\[0\] is no expression that can be used: '1 \+ 1': its value is of type INT, and must be of "
            "type BOOL",
            id="a number for a condition",
        ),
        pytest.param(
            ("object.spec.paused", "{path: spec.paused, is: true}"),
            r"nothingWhen\[0\] must be an expression in quotes, not {'path'",
            id="the form of earlier versions",
        ),
        pytest.param(
            ("object.spec.worker.?replicas.orValue(1)", "item.?replicas.orValue(1)"),
            r"podGroups\[0\]: replicas speaks of item, which is there only in a group of pods with each",
            id="an item of nothing",
        ),
        pytest.param(
            ("object.spec.paused", "item.paused"), r"nothingWhen\[0\] speaks of item", id="an item of the object"
        ),
        pytest.param(
            ("    podGroups:", "    podGroups: []\n    podGroups:"),
            "f: no YAML: podGroups is there twice",
            id="a field twice",
        ),
        pytest.param(
            ("spec.worker.template", "body.template"),
            r"\(Widget\): body\.template is not in spec: changes of anything else are not reviewed",
            id="a template that nobody would look at",
        ),
        pytest.param(
            ("    podGroups:", "    scale: body.replicas\n    podGroups:"),
            r"body\.replicas is not in spec",
            id="a scale",
        ),
        pytest.param(
            (WIDGET[WIDGET.index("    podGroups:") :], "    podGroups: []\n"),
            r"\(Widget\): podGroups must have at least one group",
            id="no group of pods",
        ),
        pytest.param(
            ("object.spec.paused", "'" + "1 + " * 600 + "1 > 0'"), "longer than 2000 characters", id="a very long one"
        ),
        pytest.param(
            ("      - template: spec.worker.template\n        replicas", "      - replicas"),
            "either a template, or requests and limits",
            id="no template",
        ),
        pytest.param(
            ("        replicas", "        requests: {cpu: \"'1'\"}\n        replicas"),
            "either a template, or requests and limits",
            id="both",
        ),
        pytest.param(
            ("        replicas", "        templateFrom: {ref: spec.ref}\n        replicas"),
            r"podGroups\[0\]: templateFrom: the field group is missing",
            id="half a reference",
        ),
        pytest.param(
            ("    podGroups:", "    between: [{group: '', version: v1, resource: pods, kind: Pod}]\n    podGroups:"),
            r"between\[0\]: pods need not be named",
            id="pods between",
        ),
        pytest.param(
            ("    podGroups:", "    children: seen\n    podGroups:"), "children must be counted", id="children"
        ),
        pytest.param(
            ("    podGroups:", "    children: counted\n    childLabels: spec.labels\n    podGroups:"),
            "podGroups and scale cannot be there",
            id="counted twice",
        ),
        pytest.param(
            ("    podGroups:", "    childLabels: spec.labels\n    podGroups:"), "go together", id="labels of nobody"
        ),
        pytest.param((WIDGET, CHILDREN.replace("    childLabels: spec.labels\n", "")), "go together", id="no labels"),
    ],
)
def test_a_wrong_description_is_refused_with_file_kind_and_expression(change, message):
    text = WIDGET.replace(*change)
    assert text != WIDGET
    with pytest.raises(KindError, match=message):
        read_kinds(text, "f")


def test_a_kind_may_leave_the_counting_to_its_children():  # [A8]
    (kind,) = read_kinds(CHILDREN, "f")
    assert (kind.children_counted, kind.child_labels, kind.pod_groups) == (True, ("spec", "labels"), ())


# --- templates of other objects ---

BORROWER = """
kinds:
  - group: example.com
    version: v1
    resource: widgets
    kind: Widget
    podGroups:
      - template: spec.template
        templateFrom:
          ref: spec.ref
          group: apps
          version: v1
          resource: deployments
          kind: Deployment
          template: spec.template
        replicas: "1"
"""


def load(tmp_path, text):
    file = tmp_path / "kinds.yaml"
    file.write_text(text, encoding="utf-8")
    return load_kinds(file)


def test_a_kind_may_have_the_template_of_a_counted_one(tmp_path):
    assert lenders(load(tmp_path, BORROWER)) == {"deployments.apps"}


@pytest.mark.parametrize(
    "change",
    [
        ("resource: deployments", "resource: daemonsets"),
        ("version: v1\n          resource", "version: v2\n          resource"),
        ("          template: spec.template", "          template: spec.other"),
    ],
)
def test_a_template_that_nobody_counts_is_refused(tmp_path, change):
    """Its changes would not be checked."""
    with pytest.raises(
        KindError, match=r"widgets.example.com: templateFrom: .* is no template of a kind that is counted"
    ):
        load(tmp_path, BORROWER.replace(*change))


def test_several_groups_have_no_template_of_one_object():
    with pytest.raises(KindError, match="templateFrom cannot be where there are several groups, with each"):
        read_kinds(BORROWER.replace("      - template", "      - each: spec.groups\n        template", 1), "f")
    group = BORROWER.split("podGroups:\n")[1]
    with pytest.raises(KindError, match="templateFrom may be in one of the podGroups only"):
        read_kinds(BORROWER + group, "f")
