"""A file of exported books says all that the statuses say, and is read strictly."""

import copy
import json
from typing import Any

import pytest
import yaml

from bizrq.domain.exported_books import ExportError, as_document, read_export, subtrees
from tests.support.build import NOW, bizrq, read

HUGE = str(2**70)
"""Bytes x milli x seconds pass 2^63 [C3]."""

CASH: dict[str, Any] = {
    "ledger": {"limits.cpu": "9000", "requests.memory": HUGE},
    "settled": {"limits.cpu": "4000", "requests.memory": HUGE},
    "rate": {"limits.cpu": "4"},
    "uncertain": {"limits.cpu": "7"},
    "seen": "77 2026-01-05T10:00:00Z",
    "period": {"start": "2026-01-05T00:00:00Z", "end": "2026-01-12T00:00:00Z", "every": "Week", "timeZone": "UTC"},
    "previous": {"start": "2025-12-29T00:00:00Z", "end": "2026-01-05T00:00:00Z",
                 "ledger": {"limits.cpu": "50"}, "settled": {"limits.cpu": "40"}},
    "history": [{"start": "2025-12-22T00:00:00Z", "end": "2025-12-29T00:00:00Z", "ledger": {"limits.cpu": "5"}}],
    "absorbed": ["uid-gone gone"],
}  # fmt: skip


def spent(name="team", **fields):
    return read(bizrq(name, hard={"cash/limits.cpu": "10"}, reconciled=NOW, cash=CASH, **fields))


def document(*bizrqs):
    return as_document(bizrqs or [spent()], export_id="e1", now=NOW)


@pytest.mark.parametrize("through", [
    lambda each: yaml.safe_load(yaml.safe_dump(each)),
    lambda each: json.loads(json.dumps(each)),
], ids=["YAML", "JSON"])  # fmt: skip
def test_everything_that_the_books_say_comes_back_exactly(through):
    team = spent(parent="dept")
    export = read_export(through(document(team)))
    assert (export.id, export.time) == ("e1", NOW)
    (found,) = export.bizrqs
    assert (found.name, found.uid, found.parent, found.reconciled) == ("team", team.uid, "dept", NOW)
    books = team.books
    assert found.books.ledger == books.ledger
    assert found.books.settled == books.settled
    assert found.books.uncertain == books.uncertain
    assert found.books.rate == books.rate == {"limits.cpu": 4000}
    assert found.books.previous == books.previous
    assert found.books.history == books.history
    assert found.period == team.period.period
    assert found.absorbed == team.absorbed


def test_a_view_of_pods_is_not_exported():
    """Versions of one cluster say nothing in another, or after etcd was restored."""
    assert read_export(document()).bizrqs[0].books.seen is None


def test_a_bizrq_that_nobody_counted_has_empty_books():
    (found,) = read_export(document(read(bizrq("new")))).bizrqs
    assert (found.books.ledger, found.reconciled, found.period) == ({}, None, None)


# --- which bizrqs ---

PARENTS = {"b": None, "b-kid": "b", "b-grandkid": "b-kid", "a": None, "a-kid": "a", "orphan": "nobody"}
TREE = [read(bizrq(name, parent=parent)) for name, parent in PARENTS.items()]


def names(*tops, among=TREE):
    return [each.name for each in subtrees(among, tops)]


def test_all_are_exported_each_behind_its_parent():
    assert names() == ["a", "a-kid", "b", "b-kid", "b-grandkid", "orphan"]


def test_a_root_names_its_tree_and_any_other_what_is_below_it():
    assert names("b") == ["b", "b-kid", "b-grandkid"]
    assert names("b-kid", "a") == ["b-kid", "b-grandkid", "a", "a-kid"]


def test_two_that_are_each_others_parents_are_exported_once():
    circle = [read(bizrq("one", parent="two")), read(bizrq("two", parent="one"))]
    assert sorted(names(among=circle)) == ["one", "two"]


def test_a_root_that_is_not_there_is_named():
    with pytest.raises(ExportError, match="there is no bizrq nobody, nothing; kubectl get bizrq lists"):
        names("nothing", "a", "nobody")


# --- strictly ---


def broken(**fields):
    raw = copy.deepcopy(document())
    raw["bizrqs"][0] |= fields
    return raw


@pytest.mark.parametrize(("raw", "words"), [
    ([], "no file of bizrq books export"),
    ({"kind": "List"}, "it has no field bizrqBooks"),
    ({**document(), "bizrqBooks": 2}, "format 2 is not known, only 1"),
    ({**document(), "id": "a b"}, r"\$.id"),
    ({**document(), "exported": "yesterday"}, "exported: 'yesterday' is no time such as 2026"),
    (broken(ledger={"limits.cpu": "-5"}), r"bizrq team: .*\$.ledger\[\.\.\.\]"),
    (broken(ledger={"limits.cpu": "12.5"}), r"bizrq team: .*\$.ledger\[\.\.\.\]"),
    (broken(ledger={"limits.cpu": 5}), r"bizrq team: .*\$.ledger\[\.\.\.\]"),
    (broken(legder={}), "bizrq team: .*legder"),
    (broken(settled={"limits.cpu": "9001"}), "bizrq team: settled.limits.cpu: 9001 is more than the ledger, 9000"),
    (broken(previous={**CASH["previous"], "settled": {"limits.cpu": "51"}}), "team: previous.settled.limits.cpu: 51"),
    (broken(previous={**CASH["previous"], "end": CASH["previous"]["start"]}), "team: previous: it ends at .* before"),
    (broken(history=[{**CASH["history"][0], "end": "soon"}]), r"team: history\[0\].end: 'soon' is no time"),
    (broken(rate={"limits.cpu": "many"}), "bizrq team: rate.limits.cpu: "),
    (broken(period={"start": "now"}), "bizrq team: period: "),
    (broken(lastReconcileTime="now"), "bizrq team: lastReconcileTime: 'now' is no time"),
    (broken(name=""), r"bizrqs\[0\]: "),
    ({**document(), "bizrqs": ["team"]}, r"bizrqs\[0\]: "),
    (document(spent(), spent()), "bizrq team: it is in the file twice"),
])  # fmt: skip
def test_what_is_no_sound_export_is_refused_naming_bizrq_and_field(raw, words):
    with pytest.raises(ExportError, match=words):
        read_export(raw)
