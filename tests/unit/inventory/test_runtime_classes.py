"""[P3] what each RuntimeClass adds to a pod right now, in whatever order it is told."""

from bizrq.inventory.runtime_classes import RuntimeClasses
from tests.support.build import runtime_class as made
from tests.support.build import texts


class Table(RuntimeClasses):
    """A table that remembers what it told."""

    def __init__(self):
        self.told: list[tuple[str, str]] = []
        super().__init__(lambda name, before: self.told.append((name, texts(before).get("cpu", "0"))))

    def shown(self):
        return {name: texts(overhead).get("cpu") for name, overhead in self.overheads.items()}


def listed(table, *items, version):
    table.list_began()
    for each in items:
        table.listed(each, 0)
    table.list_ended(version, 0)


def test_a_class_that_changes_is_told_with_what_it_added_before():
    table = Table()
    for version, cpu in ((1, "100m"), (2, "100m"), (3, "250m"), (4, None)):
        table.changed(made("kata", cpu, version=version), 0)
    assert table.told == [("kata", "0"), ("kata", "100m"), ("kata", "250m")]
    assert (table.shown(), table.knows("kata")) == ({}, True)


def test_an_older_version_changes_nothing():
    table = Table()
    for version, cpu in ((5, "250m"), (4, "100m"), (5, "1")):
        table.put(made("kata", cpu, version=version))
    assert table.shown() == {"kata": "250m"}


def test_a_class_that_is_gone_adds_nothing_and_does_not_come_back_by_an_older_read():
    table = Table()
    table.changed(made("kata", "250m", version=1), 0)
    table.deleted(made("kata", "250m", version=7), 0)
    table.put(made("kata", "250m", version=3))
    assert (table.shown(), table.knows("kata"), len(table)) == ({}, False, 0)


def test_a_class_made_anew_is_another_and_the_end_of_the_old_one_is_no_news():
    table = Table()
    table.put(made("kata", "100m", version=1))
    table.put(made("kata", "250m", version=9, uid="new"))
    table.deleted(made("kata", "100m", version=8), 0)
    assert table.shown() == {"kata": "250m"}


def test_a_list_removes_what_it_lacks_and_what_is_older_than_it():
    table = Table()
    table.put(made("kata", "100m", version=3))
    table.put(made("gvisor", "50m", version=4))
    table.put(made("fresh", "10m", version=12))
    listed(table, made("gvisor", "60m", version=6), version=10)
    assert table.shown() == {"gvisor": "60m", "fresh": "10m"}
