"""What does the API server itself refuse, accept and show of a bizrq, by the CRD alone? [K1-K6, T1, C9].

Nothing of bizrq runs here. Refusals are asserted by the words a user reads: field, value and the way out.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pykube
import pytest
import yaml

from bizrq.domain import periods
from bizrq.domain.calendars import CashPeriod, Every
from bizrq.domain.periods import Period, State, as_json, read_state
from bizrq.domain.quantity import QuantityError, parse
from bizrq.domain.resource_names import key_problem
from tests.support.kube import wait_until

if TYPE_CHECKING:
    from testbed.cluster import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOT: Final = Path(__file__).resolve().parents[2]
CRD_FILE: Final = ROOT / "crds" / "quota.bizrq.io_bizgroupresourcequotas.yaml"
CRD_NAME: Final = "bizgroupresourcequotas.quota.bizrq.io"
API_VERSION: Final = "quota.bizrq.io/v1"
PLURAL: Final = "bizgroupresourcequotas"
SECONDS: Final = 1.0
"""An answer that takes longer means that somebody computes with 1e1000000000 [K6]; here it takes 3-30 ms."""

Json = dict[str, Any]


# --- talking to the API server ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What the API server said: the object, or why not."""

    code: int
    body: Json

    @property
    def message(self) -> str:
        """The text of a refusal."""
        return str(self.body.get("message", ""))

    def refused(self, *texts: str) -> None:
        """Assert that it is a refusal with all of these texts."""
        assert self.code == HTTPStatus.UNPROCESSABLE_ENTITY, self
        for text in texts:
            assert text in self.message

    def accepted(self) -> Json:
        """Assert that it is an object, and return it."""
        assert self.code in {HTTPStatus.OK, HTTPStatus.CREATED}, self
        return self.body


@dataclass
class Bizrqs:
    """The bizrqs of the cluster; what a test makes here is deleted after it."""

    api: pykube.HTTPClient
    kubectl_command: list[str]
    made: set[str] = field(default_factory=set)

    def create(self, spec: Json | None, name: str = "crd-test", *, dry_run: bool = False, **more: Any) -> Answer:
        """POST a bizrq; without ``dry_run`` it is deleted after the test."""
        body = {"apiVersion": API_VERSION, "kind": "BizGroupResourceQuota", "metadata": {"name": name}, **more}
        if spec is not None:
            body["spec"] = spec
        if not dry_run:
            self.made.add(name)
        return self._answer(self.api.post, "", json=body, params={"dryRun": "All"} if dry_run else {})

    def get(self, name: str = "crd-test") -> Answer:
        """GET one."""
        return self._answer(self.api.get, name)

    def put(self, value: Json, part: str = "") -> Answer:
        """PUT an object, or its ``/status``."""
        return self._answer(self.api.put, value["metadata"]["name"] + part, json=value)

    def patch(self, change: Any, kind: str = "merge-patch+json", name: str = "crd-test", **params: str) -> Answer:
        """PATCH one by a merge patch, a JSON patch or an apply."""
        headers = {"Content-Type": f"application/{kind}"}
        return self._answer(self.api.patch, name, data=json.dumps(change), headers=headers, params=params)

    def list(self, selector: str) -> Answer:
        """GET those that match a field selector."""
        return self._answer(self.api.get, "", params={"fieldSelector": selector})

    def delete(self, name: str) -> Answer:
        """DELETE one."""
        return self._answer(self.api.delete, name)

    def kubectl(self, *arguments: str, stdin: Json | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user does; ``stdin`` is handed to it as a manifest."""
        return subprocess.run(
            [*self.kubectl_command, *arguments],
            input=None if stdin is None else yaml.safe_dump(stdin),
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip

    def _answer(self, verb: Callable[..., Any], path: str, **more: Any) -> Answer:
        response = verb(version=API_VERSION, url=f"{PLURAL}/{path}".rstrip("/"), timeout=SECONDS, **more)
        return Answer(response.status_code, response.json())


@pytest.fixture(scope="module")
def api(admin: pykube.HTTPClient) -> Iterator[pykube.HTTPClient]:
    """A client of the cluster, with the CRD in it; the cluster keeps the CRD only if it had it."""
    crds = {"version": "apiextensions.k8s.io/v1", "url": "customresourcedefinitions"}
    created = admin.post(**crds, json=yaml.safe_load(CRD_FILE.read_text()))
    assert created.status_code in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}, created.text
    # For 2 s after a CRD is established the API server holds back every create for 2 s (customresource_handler.go).
    attempt = {"version": API_VERSION, "url": PLURAL, "json": _manifest({}), "params": {"dryRun": "All"}}
    wait_until(lambda: admin.post(**attempt).status_code == HTTPStatus.CREATED, "the CRD is served")
    yield admin
    if created.status_code == HTTPStatus.CREATED:
        crds["url"] += f"/{CRD_NAME}"
        admin.delete(**crds).raise_for_status()
        wait_until(lambda: admin.get(**crds).status_code == HTTPStatus.NOT_FOUND, "the CRD is gone")


@pytest.fixture
def bizrqs(api: pykube.HTTPClient, cluster: Cluster, tmp_path: Path) -> Iterator[Bizrqs]:
    """Access to the bizrqs of the cluster, which has the same ones again after the test."""
    # A cache of its own: kubectl would else remember for minutes what another cluster served on this port.
    base = [str(cluster.kubectl), f"--kubeconfig={cluster.kubeconfig}", f"--cache-dir={tmp_path}"]
    access = Bizrqs(api, base)
    yield access
    for name in access.made:
        assert access.delete(name).code in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}


# --- [K1-K4] keys ----------------------------------------------------------------------------------------------------

MODEL_63: Final = "A" + "b" * 61 + "4"

GOOD_KEYS: Final = (
    "cpu", "requests.cpu", "limits.cpu", "memory", "requests.memory", "limits.memory",
    "ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage",
    "hugepages-2Mi", "requests.hugepages-1Gi", "pods",
    "requests.nvidia.com/gpu", "requests.nvidia.com/mig-1g.5gb", "requests.example/dongle",
    "requests.a-b.example.com/x_y",
    "cpu.A4", "limits.cpu.A4", "requests.cpu.a", "limits.memory.DDR5_x-1.2", f"limits.cpu.{MODEL_63}",
    "requests.nvidia.com/gpu.A30", "requests.nvidia.com/mig-1g.5gb.A30", f"requests.nvidia.com/gpu.{MODEL_63}",
    "count/pods", "count/replicationcontrollers", "count/deployments.apps", "count/rollouts.argoproj.io",
    "cash/cpu", "cash/limits.cpu", "cash/limits.cpu.A4", "cash/requests.memory", "cash/ephemeral-storage",
    "cash/requests.nvidia.com/gpu", "cash/requests.nvidia.com/gpu.A30", "cash/requests.hugepages-2Mi",
)  # fmt: skip

NO_MODEL: Final = (
    "not a model: models are 1 to 63 letters, digits, -, _ and ., and begin and end with a letter or digit"
)
NO_HOURS: Final = "pods and counts have no budgets in hours; cash/limits.cpu is one"
NO_GROUP: Final = "its group is missing: count/<resource>.<group>"

MEANT: Final = {
    "gpu": "requests.nvidia.com/gpu",
    "gpus": "requests.nvidia.com/gpu",
    "gpu.A30": "requests.nvidia.com/gpu.A30",
    "requests.gpu": "requests.nvidia.com/gpu",
    "limits.gpu": "requests.nvidia.com/gpu",
    "cash/gpu": "cash/requests.nvidia.com/gpu",
    "nvidia.com/gpu": "requests.nvidia.com/gpu",
    "nvidia.com/gpu.A30": "requests.nvidia.com/gpu.A30",
    "limits.nvidia.com/gpu": "requests.nvidia.com/gpu",
    "cash/nvidia.com/gpu": "cash/requests.nvidia.com/gpu",
    "cash/limits.nvidia.com/gpu.A30": "cash/requests.nvidia.com/gpu.A30",
    "requests.requests.nvidia.com/gpu": "requests.nvidia.com/gpu",
    "replicas": "pods",
    "requests.pods": "pods",
    "limits.pods": "pods",
    "Limits.CPU": "limits.cpu",
    " cpu": "cpu",
    "mem": "memory",
    "limits.hugepages-2Mi": "requests.hugepages-2Mi",
    "cash/limits.hugepages-2Mi": "cash/requests.hugepages-2Mi",
    "deployments": "count/deployments.apps",
    "count/deployments": "count/deployments.apps",
    "count/tfjobs": "count/tfjobs.kubeflow.org",
}
"""Keys that are refused with the key that was probably meant [K4]."""

NOTED: Final = {
    "cash/pods": NO_HOURS,
    "cash/count/deployments.apps": NO_HOURS,
    "limits.cpu.": NO_MODEL,
    "limits.cpu.-A4": NO_MODEL,
    "cash/limits.memory.A 4": NO_MODEL,
    f"limits.cpu.{MODEL_63}x": NO_MODEL,
    "pods.A4": "this resource has no models",
    "ephemeral-storage.A4": "this resource has no models",
    "hugepages-2Mi.A4": "this resource has no models",
    "count/services": NO_GROUP,
    "count/": NO_GROUP,
    "k" * 400: "400 characters; at most 386 are allowed",
}
"""Keys that are refused with the reason."""

UNKNOWN: Final = (
    "", " ", ".", "/", "foo", "requests.", "requests.storage", "services", "persistentvolumeclaims",
    "requests.kubernetes.io/x", "requests.batch.kubernetes.io/x", "kubernetes.io/x", "requests.nvidia.com/",
    "requests./gpu", "requests.Nvidia.com/gpu", "requests.nvidia..com/gpu", "requests.nvidia.com/gpu/x",
    "requests.nvidia.com/gpu.", f"requests.nvidia.com/{'x' * 128}", "hugepages-big", "hugepages-2mi",
    "count/Deployments.apps", "count/deployments.apps.", "cash/", "cash/cash/cpu", "cash/requests.storage", "cpu/A4",
    "cpü",
)  # fmt: skip
"""Keys that are refused as they are."""


@pytest.mark.parametrize("key", GOOD_KEYS)
def test_k1_k2_k3_a_key_that_can_be_measured_is_accepted(bizrqs: Bizrqs, key: str) -> None:
    assert bizrqs.create({"hard": {key: "1"}}).accepted()["spec"]["hard"] == {key: "1"}


@pytest.mark.parametrize(("key", "meant"), MEANT.items(), ids=MEANT)
def test_k4_a_key_that_could_never_be_measured_is_refused_with_the_key_that_was_meant(
    bizrqs: Bizrqs, key: str, meant: str
) -> None:
    bizrqs.create({"hard": {key: "1"}}).refused(
        f'spec.hard: Invalid value: unknown keys: ["{key} (did you mean {meant}?)"].',
        "they would limit nothing",
        "Known are cpu, memory",
    )


@pytest.mark.parametrize(("key", "note"), NOTED.items(), ids=[key[:30] for key in NOTED])
def test_k4_a_key_that_could_never_be_measured_is_refused_with_the_reason(bizrqs: Bizrqs, key: str, note: str) -> None:
    shown = key if len(key) < 100 else "k" * 60 + "..."
    bizrqs.create({"hard": {key: "1"}}).refused(f'unknown keys: ["{shown} ({note})"].', "Known are cpu, memory")


@pytest.mark.parametrize("key", UNKNOWN, ids=[key[:30] or "empty" for key in UNKNOWN])
def test_k4_any_other_key_is_refused_by_name(bizrqs: Bizrqs, key: str) -> None:
    bizrqs.create({"hard": {key: "1"}}).refused(f'unknown keys: ["{key}"].', "Known are cpu, memory")


def test_k4_all_unknown_keys_are_named_at_once_and_the_good_ones_are_not(bizrqs: Bizrqs) -> None:
    answer = bizrqs.create({"hard": {"limits.cpu": 1, "gpu": 1, 'a"b\nc': 1}})
    answer.refused('"gpu (did you mean requests.nvidia.com/gpu?)"', r'"a\"b\nc"')
    assert '"limits.cpu' not in answer.message


@pytest.mark.parametrize("length", [10, 380, 10_000], ids="{} characters each".format)
def test_k4_256_unknown_keys_are_refused_in_readable_words(bizrqs: Bizrqs, length: int) -> None:
    answer = bizrqs.create({"hard": {f"x{number:03}".ljust(length, "-"): "1" for number in range(256)}})
    answer.refused("spec.hard: Invalid value: unknown keys", "Known are cpu, memory")
    assert len(answer.message) < 6000


@pytest.mark.parametrize("key", GOOD_KEYS)
def test_k1_what_the_schema_accepts_as_a_key_the_domain_does_too(key: str) -> None:
    assert key_problem(key) is None


STRICTER: Final = {
    "count/services", "count/deployments", "count/tfjobs",  # of the core group only two kinds are workloads
    "requests.requests.nvidia.com/gpu", "hugepages-2mi",
    "k" * 400, f"requests.nvidia.com/{'x' * 128}",
}  # fmt: skip
"""Where the schema refuses more keys than the domain."""


@pytest.mark.parametrize("key", sorted({*MEANT, *NOTED, *UNKNOWN} - STRICTER), ids=lambda key: key[:30])
def test_k4_what_the_schema_refuses_as_a_key_the_domain_does_too(key: str) -> None:
    assert key_problem(key) is not None


# --- [K5, K6] values -------------------------------------------------------------------------------------------------

GENERIC: Final = 'not a quantity. Write digits and at most one suffix, such as 4, "500m" or "64Gi".'
SIGN: Final = 'must be >= 0. "0" allows nothing; remove the key to leave it unlimited.'
SUFFIX: Final = (
    "unknown suffix. There are n, u, m, k, M, G, T, P, E and Ki, Mi, Gi, Ti, Pi, Ei; upper and lower case differ."
)
EXPONENT: Final = "an exponent has at most two digits, as in 1e12."
BLANKS: Final = "remove the blanks around it."
SEPARATORS: Final = "write the digits without separators, such as 1000."

BAD_VALUES: Final[tuple[tuple[str | int, str], ...]] = (
    ("-1", SIGN),
    (-5, SIGN),
    ("-0.5m", SIGN),
    ("1e100", EXPONENT),
    ("1e1000000", EXPONENT),
    ("1e1000000000", EXPONENT),
    ("1E+1000000000", EXPONENT),
    ("0e-1000000000", EXPONENT),
    ("1K", "unknown suffix K. Write k for 1000 or Ki for 1024."),
    ("1e3Ki", GENERIC),
    ("64GiB", "write the suffix without B, such as 64Gi."),
    ("64GB", "write the suffix without B, such as 64Gi."),
    ("64gi", SUFFIX),
    ("1Zi", SUFFIX),
    ("1_000", SEPARATORS),
    ("1,000", SEPARATORS),
    (" 1", BLANKS),
    ("1 ", BLANKS),
    ("1\n", GENERIC),
    ("", GENERIC),
    (".", GENERIC),
    ("abc", GENERIC),
    ("NaN", GENERIC),
    ("Infinity", GENERIC),
    ("-Infinity", SIGN),
    ("0x10", GENERIC),
    ("\N{FULLWIDTH DIGIT ONE}", GENERIC),
    ("1" * 33, 'longer than 32 characters. Write it shorter, such as "1500m" or "64Gi".'),
)

GOOD_VALUES: Final = (
    0, 1, 2**63 - 1, "0", "1", "+1", "1500m", "1.5", ".5", "5.", "100u", "1n", "1k", "1E", "1Ei", "2Ti",
    "1e3", "1E-9", "1e+99", "1" * 32,
)  # fmt: skip


@pytest.mark.parametrize(("value", "words"), BAD_VALUES, ids=[repr(value) for value, _ in BAD_VALUES])
def test_k6_what_is_no_quantity_of_at_least_zero_is_refused_with_key_and_value(
    bizrqs: Bizrqs, value: str | int, words: str
) -> None:
    bizrqs.create({"hard": {"limits.cpu": value}}).refused(
        f"spec.hard[limits.cpu]: Invalid value: {json.dumps(value, ensure_ascii=False)}: {words}"
    )


@pytest.mark.parametrize(
    ("value", "kind"), [(1.5, "number"), (True, "boolean"), ([], "array"), ({}, "object")], ids=repr
)
def test_k6_what_is_neither_text_nor_a_whole_number_is_refused_with_its_key(
    bizrqs: Bizrqs, value: Any, kind: str
) -> None:
    answer = bizrqs.create({"hard": {"limits.cpu": value}})
    answer.refused(
        f'spec.hard.limits.cpu: Invalid value: "{kind}": spec.hard.limits.cpu in body must be of type integer,string'
    )
    assert "anyOf" not in answer.message


def test_k6_a_text_of_megabytes_is_refused(bizrqs: Bizrqs) -> None:
    bizrqs.create({"hard": {"limits.cpu": "1" * 2_000_000}}).refused("spec.hard.limits.cpu: Too long")


@pytest.mark.parametrize("value", GOOD_VALUES, ids=repr)
def test_k6_a_quantity_is_accepted_and_stays_as_written(bizrqs: Bizrqs, value: str | int) -> None:
    assert bizrqs.create({"hard": {"limits.cpu": value}}).accepted()["spec"]["hard"] == {"limits.cpu": value}


def test_k6_the_schema_accepts_the_texts_that_bizrq_reads_and_no_others(bizrqs: Bizrqs) -> None:
    texts = [one["text"] for one in json.loads((ROOT / "tests/vectors/quantity.json").read_text())["one"]]
    for start in range(0, len(texts), 256):
        chunk = {f"count/v{start + place}.example": text for place, text in enumerate(texts[start : start + 256])}
        message = bizrqs.create({"hard": chunk}, dry_run=True).message
        refused = set(re.findall(r"spec\.hard\[([^\]]*)\]", message))
        assert {chunk[key] for key in refused} == {text for text in chunk.values() if not _readable(text)}


def _readable(text: str) -> bool:
    try:
        return parse(text) is not None and not text.startswith("-")
    except QuantityError:
        return False


@pytest.mark.parametrize("value", ["1e1000000000", "-1e1000000000", "1e-1000000000", "0e1000000000"])
def test_k6_a_monstrous_exponent_costs_the_api_server_nothing(bizrqs: Bizrqs, value: str) -> None:
    everywhere = {f"count/v{number}.example": value for number in range(256)}
    bizrqs.create({"hard": everywhere}).refused(f'spec.hard[count/v7.example]: Invalid value: "{value}"')
    bizrqs.create({"hard": {"count/v7.example": "1"}}).accepted()
    bizrqs.patch({"spec": {"hard": everywhere}}).refused(f'spec.hard[count/v7.example]: Invalid value: "{value}"')
    bizrqs.patch({"spec": {"hard": {"limits.cpu": value}}}, dryRun="All").refused("spec.hard[limits.cpu]")


def test_k5_a_key_without_a_value_is_refused_and_not_dropped(bizrqs: Bizrqs) -> None:
    bizrqs.create({"hard": {"limits.cpu": None, "limits.memory": "1Gi"}}).refused(
        'spec.hard: Invalid value: no value given for ["limits.cpu"]. Write a quantity behind the key, such as 4 or'
        ' "64Gi", or remove the key to leave it unlimited.'
    )


def test_k5_a_merge_patch_with_null_removes_the_key(bizrqs: Bizrqs) -> None:
    bizrqs.create({"hard": {"limits.cpu": "1", "limits.memory": "1Gi"}}).accepted()
    changed = bizrqs.patch({"spec": {"hard": {"limits.cpu": None}}}).accepted()
    assert changed["spec"]["hard"] == {"limits.memory": "1Gi"}


@pytest.mark.parametrize("spec", [{}, {"hard": {}}, {"hard": None}], ids=["no hard", "empty hard", "hard null"])
def test_k5_a_group_may_limit_nothing(bizrqs: Bizrqs, spec: Json) -> None:
    assert bizrqs.create(spec).accepted()["spec"] == {"parentBizGroup": "", "hard": {}}


# --- sizes -----------------------------------------------------------------------------------------------------------

LONGEST: Final = {
    f"cash/requests.{f'd{number:03}'.ljust(244, 'x')}/{'n' * 63}.{'m' * 63}": "1" * 32 for number in range(256)
}
"""256 keys of the greatest length, the most that the rules ever have to look at."""


@pytest.mark.parametrize(
    "hard",
    [{f"requests.nvidia.com/gpu.A{number}": "1500m" for number in range(256)}, LONGEST],
    ids=["usual keys", "longest keys"],
)
def test_256_keys_are_within_what_the_api_server_spends_on_rules(bizrqs: Bizrqs, hard: Json) -> None:
    assert all(len(key) <= 386 for key in hard)
    stored = bizrqs.create(hard=None, spec={"hard": hard}).accepted()
    status = {"hard": hard, "used": hard, "selfUsed": hard, "cash": {"ledger": hard}}
    assert bizrqs.put({**stored, "status": status}, "/status").accepted()["status"] == status


@pytest.mark.parametrize("count", [257, 500])
def test_more_than_256_keys_are_refused(bizrqs: Bizrqs, count: int) -> None:
    bizrqs.create({"hard": {f"count/v{number}.example": 1 for number in range(count)}}).refused(
        f"spec.hard: Too many: {count}: must have at most 256 items"
    )


# --- [T1] name and parent --------------------------------------------------------------------------------------------


def test_t1_a_name_is_a_label_value(bizrqs: Bizrqs) -> None:
    bizrqs.create({}, name="n" * 63).accepted()
    bizrqs.create({}, name="n" * 64).refused(
        f'metadata.name: Invalid value: "{"n" * 64}" is too long: at most 63 characters are allowed, because workloads'
        " name their group in a label value. Choose a shorter name."
    )
    bizrqs.create({}, name="Team_A").refused('metadata.name: Invalid value: "Team_A"')


def test_t1_a_group_is_not_its_own_parent(bizrqs: Bizrqs) -> None:
    bizrqs.create({"parentBizGroup": "crd-test"}).refused(
        'spec.parentBizGroup: Invalid value: "crd-test" cannot be its own parent. Name the group above it, or leave'
        " parentBizGroup out to make it a root."
    )


@pytest.mark.parametrize("parent", ["Dept_AI", "dept ai", "-dept", "dept/ai", "a..b"])
def test_t1_a_parent_whose_name_no_group_can_have_is_refused(bizrqs: Bizrqs, parent: str) -> None:
    bizrqs.create({"parentBizGroup": parent}).refused(
        f'spec.parentBizGroup: Invalid value: "{parent}": no group can have this name (lower-case letters, digits, "-"'
        ' and "."). "kubectl get bizrq" lists the groups there are.'
    )


def test_t1_a_parent_of_64_characters_is_refused(bizrqs: Bizrqs) -> None:
    bizrqs.create({"parentBizGroup": "p" * 64}).refused("spec.parentBizGroup: Too long: may not be more than 63 bytes")


def test_t1_spec_is_required(bizrqs: Bizrqs) -> None:
    bizrqs.create(None).refused("spec: Required value")


FOR_LIFE: Final = (
    ': a group keeps its place in the tree for life. Set parentBizGroup back to "{}"; to move, create a new group at'
    " the other place, change the label of the workloads to it, and delete this one."
)
Change = Callable[[Bizrqs, Json], Answer]


def _put(spec: Json | None) -> Change:
    def change(bizrqs: Bizrqs, stored: Json) -> Answer:
        value = {key: part for key, part in stored.items() if key != "spec"}
        return bizrqs.put(value if spec is None else {**value, "spec": spec})

    return change


def _merge(spec: Json | None) -> Change:
    return lambda bizrqs, _: bizrqs.patch({"spec": spec})


def _json(*operations: Json) -> Change:
    return lambda bizrqs, _: bizrqs.patch(list(operations), "json-patch+json")


def _apply(spec: Json) -> Change:
    def change(bizrqs: Bizrqs, _: Json) -> Answer:
        value = {"apiVersion": API_VERSION, "kind": "BizGroupResourceQuota", "spec": spec}
        return bizrqs.patch(value, "apply-patch+yaml", fieldManager="somebody", force="true")

    return change


CHANGED: Final = 'the parent cannot change from "dept-a" to "dept-b"'
REMOVED: Final = 'the parent "dept-a" cannot be removed'
MISSING: Final = "spec: Required value"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(_merge({"parentBizGroup": "dept-b"}), CHANGED, id="merge patch: another"),
        pytest.param(_merge({"parentBizGroup": ""}), REMOVED, id="merge patch: empty"),
        pytest.param(_merge({"parentBizGroup": None}), REMOVED, id="merge patch: null"),
        pytest.param(_merge(None), MISSING, id="merge patch: spec null"),
        pytest.param(_put({"parentBizGroup": "dept-b"}), CHANGED, id="put: another"),
        pytest.param(_put({}), REMOVED, id="put: empty spec"),
        pytest.param(_put({"parentBizGroup": None}), REMOVED, id="put: null"),
        pytest.param(_put(None), MISSING, id="put: no spec"),
        pytest.param(_json({"op": "remove", "path": "/spec/parentBizGroup"}), REMOVED, id="json patch: remove"),
        pytest.param(_json({"op": "replace", "path": "/spec", "value": {}}), REMOVED, id="json patch: replace spec"),
        pytest.param(_json({"op": "remove", "path": "/spec"}), MISSING, id="json patch: remove spec"),
        pytest.param(_apply({"parentBizGroup": "dept-b"}), CHANGED, id="apply: another"),
        pytest.param(_apply({"parentBizGroup": "dept-b", "hard": {}}), CHANGED, id="apply: another, with hard"),
    ],
)
def test_t1_the_parent_of_a_child_never_changes(bizrqs: Bizrqs, change: Change, words: str) -> None:
    stored = bizrqs.create({"parentBizGroup": "dept-a", "hard": {"limits.cpu": "1"}}).accepted()
    answer = change(bizrqs, stored)
    answer.refused(words)
    if words != MISSING:
        answer.refused("spec.parentBizGroup: Invalid value: " + words + FOR_LIFE.format("dept-a"))
    assert bizrqs.get().accepted() == stored


def test_t1_a_root_never_becomes_a_child(bizrqs: Bizrqs) -> None:
    stored = bizrqs.create({}).accepted()
    bizrqs.patch({"spec": {"parentBizGroup": "dept-a"}}).refused(
        'spec.parentBizGroup: Invalid value: this group is a root and cannot get the parent "dept-a"'
        + FOR_LIFE.format("")
    )
    assert bizrqs.get().accepted() == stored


def test_t1_everything_else_of_a_child_may_change(bizrqs: Bizrqs) -> None:
    stored = bizrqs.create({"parentBizGroup": "dept-a", "hard": {"limits.cpu": "1"}}).accepted()
    stored["spec"]["hard"] = {"limits.cpu": "2"}
    changed = bizrqs.put(stored).accepted()
    assert changed["spec"] == {"parentBizGroup": "dept-a", "hard": {"limits.cpu": "2"}}
    assert changed["metadata"]["generation"] == 2


# --- [C9] periods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
@pytest.mark.parametrize("every", ["Day", "Week", "Month"])
def test_c9_a_root_may_have_a_period(bizrqs: Bizrqs, every: str, zone: str) -> None:
    period = {"every": every, "timeZone": zone}
    assert bizrqs.create({"cashPeriod": period}).accepted()["spec"]["cashPeriod"] == period


def test_c9_whether_a_group_may_have_a_period_is_for_the_webhook_to_say(bizrqs: Bizrqs) -> None:
    """It knows the root and names it; the schema sees one object."""
    period = {"every": "Week", "timeZone": "Asia/Shanghai"}
    bizrqs.create({"parentBizGroup": "dept-a", "cashPeriod": period}).accepted()


BAD_PERIODS: Final = {
    "every Year": ({"every": "Year", "timeZone": "UTC"}, 'every: Unsupported value: "Year": supported values: "Day"'),
    "no every": ({"timeZone": "UTC"}, "every: Required value"),
    "no zone": ({"every": "Week"}, "timeZone: Required value"),
    "zone with a blank": ({"every": "Week", "timeZone": "Mars Base"}, 'timeZone: Invalid value: "Mars Base": no time'),
    "empty zone": ({"every": "Week", "timeZone": ""}, 'timeZone: Invalid value: "": no time zone has this name.'),
    "zone as a path": ({"every": "Week", "timeZone": "../etc"}, 'timeZone: Invalid value: "../etc": no time zone has'),
    "long zone": ({"every": "Week", "timeZone": "z" * 65}, "timeZone: Too long: may not be more than 64 bytes"),
}


@pytest.mark.parametrize(("period", "words"), BAD_PERIODS.values(), ids=BAD_PERIODS)
def test_c9_a_period_is_well_formed(bizrqs: Bizrqs, period: Json, words: str) -> None:
    bizrqs.create({"cashPeriod": period}).refused("spec.cashPeriod." + words)


# --- status ----------------------------------------------------------------------------------------------------------


def _condition(kind: str, status: str, message: str = "") -> Json:
    return {
        "type": kind, "status": status, "reason": "Counted", "message": message,
        "lastTransitionTime": "2026-01-05T10:00:00Z", "observedGeneration": 1,
    }  # fmt: skip


STATUS: Final[Json] = {
    "hard": {"limits.cpu": "400", "cash/limits.cpu": "10000"},
    "used": {"limits.cpu": "396", "cash/limits.cpu": "812.4"},
    "selfUsed": {"limits.cpu": "396", "cash/limits.cpu": "812.4"},
    "lastReconcileTime": "2026-01-05T10:00:00Z",
    "observedGeneration": 1,
    "writer": "9f31c2.4711",
    "conditions": [
        _condition("Ready", "True"),
        *(_condition(each, "False") for each in ("OverQuota", "CashExhausted", "SurgeStanding")),
    ],
    "summary": {
        "cpu": "396/400", "memory": "1536Gi/2Ti", "gpu": "40/64", "cashCpu": "812.4/10000", "cashGpu": "12/1000",
    },
    "claims": [
        "1 3f2a-11c9 81723 deployments.apps/shop/web 2026-01-05T09:59:58.214Z count/deployments.apps=1:0,limits.cpu=8:3"
    ],
    "leftovers": ["1 3f2a-11c9 deployments.apps/shop/old limits.cpu=4"],
    "cash": {
        "ledger": {"limits.cpu": "2924640000000"},
        "settled": {"limits.cpu": "24640000000"},
        "seen": "81723 2026-01-05T09:59:58Z",
        "rate": {"limits.cpu": "396"},
        "uncertain": {"limits.cpu": "0"},
        "absorbed": ["0b6e-77aa"],
        "moves": ["1 3f2a-11c9 2026-01-05T09:59:58Z from=team-a"],
        "period": {
            "every": "Week", "timeZone": "Asia/Shanghai",
            "start": "2026-01-04T16:00:00Z", "end": "2026-01-11T16:00:00Z",
            "next": {"every": "Day", "timeZone": "UTC"},
        },
        "previous": {
            "start": "2025-12-28T16:00:00Z", "end": "2026-01-04T16:00:00Z",
            "ledger": {"limits.cpu": "1"}, "settled": {"limits.cpu": "1"},
        },
        "history": [
            {"start": "2025-12-21T16:00:00Z", "end": "2025-12-28T16:00:00Z", "ledger": {"limits.cpu": "360000000"}}
        ],
    },
}  # fmt: skip
"""A status with every field of the contract."""


def test_every_field_of_a_status_is_kept_and_no_generation_is_made(bizrqs: Bizrqs) -> None:
    stored = bizrqs.create({"hard": {"limits.cpu": "400"}}).accepted()
    written = bizrqs.put({**stored, "status": STATUS}, "/status").accepted()
    assert written["status"] == STATUS
    assert written["metadata"]["generation"] == stored["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    "state",
    [
        State(Period(1_767_607_200)),
        State(Period(1_767_607_200, 1_768_147_200), None, periods.Change(CashPeriod(Every.WEEK, "Asia/Shanghai"))),
        State(Period(1_767_607_200, 1_768_147_200), CashPeriod(Every.WEEK, "Asia/Shanghai"), periods.Change(None)),
    ],
    ids=["hours are granted once", "a period is added", "a period is removed"],
)
def test_c9_every_state_of_a_period_is_kept_as_it_is_written(bizrqs: Bizrqs, state: State) -> None:
    stored = bizrqs.create({}).accepted()
    written = bizrqs.put({**stored, "status": {"cash": {"period": as_json(state)}}}, "/status").accepted()
    assert written["status"]["cash"]["period"] == as_json(state)
    assert read_state(written["status"]["cash"]["period"]) == state


def test_status_is_not_written_through_the_main_resource(bizrqs: Bizrqs) -> None:
    created = bizrqs.create({"hard": {}}, status=STATUS).accepted()
    assert "status" not in created
    stored = bizrqs.put({**created, "status": STATUS}, "/status").accepted()
    forged = copy.deepcopy(stored)
    forged["status"]["used"] = {"limits.cpu": "0"}
    assert bizrqs.put(forged).accepted() == stored
    assert bizrqs.patch({"status": None}).accepted() == stored
    # and spec not through status
    forged["spec"]["hard"] = {"limits.cpu": "1000"}
    assert bizrqs.put(forged, "/status").accepted()["spec"] == stored["spec"]


def test_status_holds_at_most_1000_claims(bizrqs: Bizrqs) -> None:
    stored = bizrqs.create({}).accepted()
    claims = [f"{STATUS['claims'][0]} {number}" for number in range(1001)]
    bizrqs.put({**stored, "status": {"claims": claims}}, "/status").refused(
        "status.claims: Too many: 1001: must have at most 1000 items"
    )
    bizrqs.put({**stored, "status": {"claims": claims[1:]}}, "/status").accepted()


def test_a_condition_stands_once_in_a_status(bizrqs: Bizrqs) -> None:
    stored = bizrqs.create({}).accepted()
    conditions = [_condition("Ready", "True"), _condition("Ready", "False")]
    bizrqs.put({**stored, "status": {"conditions": conditions}}, "/status").refused(
        'status.conditions[1]: Duplicate value: {"type":"Ready"}'
    )


def test_keys_of_status_do_not_fill_managed_fields(bizrqs: Bizrqs) -> None:
    stored = bizrqs.create({}).accepted()
    written = bizrqs.put({**stored, "status": STATUS}, "/status").accepted()
    assert "f:limits.cpu" not in json.dumps(written["metadata"]["managedFields"])


# --- looking ---------------------------------------------------------------------------------------------------------

EXAMPLE: Final[Json] = {
    "parentBizGroup": "dept-ai",
    "hard": {
        "requests.cpu": "400", "limits.cpu": "400", "limits.cpu.A4": "100", "limits.memory": "2Ti",
        "requests.nvidia.com/gpu": "64", "requests.nvidia.com/gpu.A30": "16",
        "cash/limits.cpu": "10000", "cash/requests.nvidia.com/gpu": "1000", "cash/requests.nvidia.com/gpu.A30": "200",
    },
}  # fmt: skip
"""The example of the contract."""

COLUMNS: Final = """
NAME         PARENT    CPU       MEMORY       GPU     CASH-CPU      CASH-GPU   READY   AGE
crd-new                                                                                0s
crd-vision   dept-ai   396/400   1536Gi/2Ti   40/64   812.4/10000   12/1000    False   0s
"""

WIDE_COLUMNS: Final = """
NAME         PARENT    CPU       MEMORY       GPU     CASH-CPU      CASH-GPU   READY   AGE   OVER-QUOTA   CASH-EXHAUSTED   SURGE-STANDING   MESSAGE
crd-new                                                                                0s
crd-vision   dept-ai   396/400   1536Gi/2Ti   40/64   812.4/10000   12/1000    False   0s    True         False            True             dept-ai has 40 left
"""  # noqa: E501  # a table of kubectl


def test_the_columns_of_kubectl_get(bizrqs: Bizrqs) -> None:
    bizrqs.create({}, "crd-new").accepted()
    stored = bizrqs.create(EXAMPLE, "crd-vision").accepted()
    assert stored["spec"] == EXAMPLE
    conditions = [
        _condition("OverQuota", "True"),
        _condition("Ready", "False", "dept-ai has 40 left"),
        _condition("CashExhausted", "False"),
        _condition("SurgeStanding", "True"),
    ]
    bizrqs.put({**stored, "status": {**STATUS, "conditions": conditions}}, "/status").accepted()
    names = ("bizrq", "crd-new", "crd-vision")
    assert _at_age_0(bizrqs.kubectl("get", *names).stdout) == COLUMNS
    assert _at_age_0(bizrqs.kubectl("get", *names, "-o", "wide").stdout) == WIDE_COLUMNS


def _at_age_0(table: str) -> str:
    """The table with all ages 0s, and without blanks at the ends of lines."""
    lines = (re.sub(r"(?<= )\d{1,2}s *", lambda age: "0s".ljust(len(age[0])), line) for line in table.splitlines())
    return "\n" + "".join(f"{line.rstrip()}\n" for line in lines)


def test_the_object_has_a_short_name_and_a_category_and_leaves_quota_to_resource_quotas(bizrqs: Bizrqs) -> None:
    bizrqs.create({}).accepted()
    for word in ("bizrq", "bizgroupresourcequotas", "BizGroupResourceQuota", "bizgroups"):
        assert "bizgroupresourcequota.quota.bizrq.io/crd-test\n" in bizrqs.kubectl("get", word, "-o", "name").stdout
    for word in ("quota", "all"):
        assert "bizrq" not in bizrqs.kubectl("get", word, "--all-namespaces", "-o", "name").stdout


def test_the_server_selects_children_and_roots(bizrqs: Bizrqs) -> None:
    bizrqs.create({}, "crd-root").accepted()
    bizrqs.create({"parentBizGroup": "crd-root"}, "crd-kid").accepted()
    bizrqs.create({"parentBizGroup": "crd-kid"}, "crd-grandkid").accepted()

    def selected(selector: str) -> set[str]:
        names = {item["metadata"]["name"] for item in bizrqs.list(selector).accepted()["items"]}
        return names & bizrqs.made

    assert selected("spec.parentBizGroup=crd-root") == {"crd-kid"}
    assert selected("spec.parentBizGroup=") == {"crd-root"}
    assert selected("spec.parentBizGroup!=crd-root") == {"crd-root", "crd-grandkid"}
    assert selected("spec.parentBizGroup=crd-root,metadata.name=crd-grandkid") == set()
    assert bizrqs.list("spec.hard=1").code == HTTPStatus.BAD_REQUEST


def test_a_dry_run_checks_and_stores_nothing(bizrqs: Bizrqs) -> None:
    assert bizrqs.create(EXAMPLE, dry_run=True).accepted()["spec"] == EXAMPLE
    bizrqs.create({"hard": {"gpu": 1}}, dry_run=True).refused("did you mean requests.nvidia.com/gpu?")
    assert bizrqs.get().code == HTTPStatus.NOT_FOUND
    done = bizrqs.kubectl("apply", "--dry-run=server", "-f", "-", stdin=_manifest(EXAMPLE))
    assert done.stdout == "bizgroupresourcequota.quota.bizrq.io/crd-test created (server dry run)\n"
    assert bizrqs.get().code == HTTPStatus.NOT_FOUND


def _manifest(spec: Json) -> Json:
    return {"apiVersion": API_VERSION, "kind": "BizGroupResourceQuota", "metadata": {"name": "crd-test"}, "spec": spec}


READ_BY_A_USER: Final = """\
The BizGroupResourceQuota "crd-test" is invalid:
* spec.cashPeriod.timeZone: Invalid value: "Asia Shanghai": no time zone has this name. Write it as in the IANA time zone database, such as Asia/Shanghai, Europe/Berlin or UTC.
* spec.hard: Invalid value: unknown keys: ["limits.nvidia.com/gpu (did you mean requests.nvidia.com/gpu?)"]. bizrq could never measure them, so they would limit nothing. Known are cpu, memory, ephemeral-storage (also behind requests. or limits.); hugepages-<size> (also behind requests.); requests.<domain>/<name>; pods; count/pods; count/<resource>.<group>. Keys of cpu, memory and GPUs may end in .<model>; all but pods and counts may stand behind cash/, as budgets in hours.
* spec.hard[limits.cpu]: Invalid value: "-4": must be >= 0. "0" allows nothing; remove the key to leave it unlimited.
* spec.hard[limits.memory]: Invalid value: "64GB": write the suffix without B, such as 64Gi.
"""  # noqa: E501  # one line each, as kubectl prints them


def test_kubectl_apply_prints_every_mistake_with_its_way_out(bizrqs: Bizrqs) -> None:
    done = bizrqs.kubectl("apply", "-f", "-", stdin=_manifest({
        "parentBizGroup": "dept-ai",
        "cashPeriod": {"every": "Week", "timeZone": "Asia Shanghai"},
        "hard": {"limits.cpu": "-4", "limits.memory": "64GB", "limits.nvidia.com/gpu": "8"},
    }))  # fmt: skip
    first, *rest = (line.rstrip() for line in done.stderr.splitlines())
    assert [first, *sorted(rest)] == READ_BY_A_USER.splitlines()  # the API server's order varies


# --- the file --------------------------------------------------------------------------------------------------------


def _rules(schema: Any) -> Iterator[Json]:
    if isinstance(schema, dict):
        yield from schema.get("x-kubernetes-validations", ())
        for part in schema.values():
            yield from _rules(part)


SCHEMA: Final = yaml.safe_load(CRD_FILE.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("rule", list(_rules(SCHEMA)), ids=lambda rule: rule["rule"][:60])
def test_k6_no_rule_computes_with_a_quantity(rule: Json) -> None:
    assert "quantity(" not in json.dumps(rule).lower()


def test_k4_the_message_about_keys_looks_for_the_keys_that_its_rule_refuses() -> None:
    keys = next(rule for rule in _rules(SCHEMA) if "hugepages" in rule["rule"])
    condition = keys["rule"].removeprefix("self.all(k, ").removesuffix(")")
    assert f"self.map(k, !( {condition})," in keys["messageExpression"]


def test_status_has_no_rules_since_it_is_written_most() -> None:
    assert list(_rules(SCHEMA["properties"]["status"])) == []


def _unbounded(schema: Any, path: str) -> Iterator[str]:
    bounds = {"string": ("maxLength", "enum", "format"), "array": ("maxItems",), "integer": ("format",)}
    kind = schema.get("type")
    if kind in bounds and not any(bound in schema for bound in bounds[kind]):
        yield path
    if "additionalProperties" in schema:
        if "maxProperties" not in schema:
            yield path
        yield from _unbounded(schema["additionalProperties"], f"{path}[*]")
    if "items" in schema:
        yield from _unbounded(schema["items"], f"{path}[]")
    for name, part in schema.get("properties", {}).items():
        yield from _unbounded(part, f"{path}.{name}")


def test_every_size_is_bounded() -> None:
    assert set(_unbounded(SCHEMA, "")) == {".apiVersion", ".kind"}
