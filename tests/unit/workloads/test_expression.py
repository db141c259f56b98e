"""What does an expression say about an object?"""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizrq.workloads.expression import Expression, Failure, Scope
from tests.support.strategies import json_values

SPEC = {
    "replicas": 3,
    "half": 1.5,
    "three": 3.0,
    "nothing": None,
    "text": "x",
    "groups": {"a": {"n": 1}, "b": {"n": 2}},
}
CONDITIONS = [{"type": "Done", "status": "True"}, {"type": "Failed", "status": "False"}, {"status": "True"}, 3]
OBJECT = {"spec": SPEC, "status": {"conditions": CONDITIONS}}


def number(text, raw=OBJECT, item=None):
    return Expression(text, "INT").number(Scope(raw).of(item))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("object.spec.replicas", 3),
        ("object.spec.?replicas.orValue(1)", 3),
        ("object.spec.?absent.orValue(1)", 1),
        ("object.?absent.?of.what.orValue(7)", 7),
        ("has(object.spec.absent) ? 1 : 2", 2),
        ("math.least(object.spec.replicas, 2)", 2),
        ("math.least(math.greatest(object.spec.replicas, 5), 4) * 2", 8),
        ("object.spec.replicas - 5", 0),
        ("size(object.spec.groups.filter(name, object.spec.groups[name].n > 1))", 1),
        ("cel.bind(n, object.spec.replicas, n * n)", 9),
        ("2147483647", 2147483647),
        ("int('4')", 4),
    ],
)
def test_numbers(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("object.spec.absent", 'there is no field "absent"'),
        ("object.spec.absent + 1", 'there is no field "absent"'),
        ("object.spec.half", "must be a whole number of pods, not 1.5"),
        ("object.spec.three", "must be a whole number of pods, not 3.0"),
        ("object.spec.half * 2", "No matching overloads found"),
        ("object.spec.nothing", "must be a whole number of pods, not null"),
        ("object.spec.nothing + 1", "No matching overloads found"),
        ("object.spec.text", "must be a whole number of pods, not 'x'"),
        ("object.spec.replicas > 1 ? object.spec.text : 1", "must be a whole number of pods, not 'x'"),
        ("object.spec.groups", "must be a whole number of pods, not {"),
        ("object.spec.replicas / 0", "divide by zero"),
        ("9223372036854775807 + object.spec.replicas", "integer overflow"),
        ("2147483647 + 1", "must be a whole number of pods, not 2147483648"),
        ("[1, 2][object.spec.replicas]", "Index error"),
        ("item.replicas", "item"),
    ],
)
def test_what_it_cannot_say_is_a_failure_with_the_reason(text, why):
    said = number(text)
    assert isinstance(said, Failure)
    assert said.expression == text
    assert why in said.why or text == "item.replicas"
    assert str(said).startswith(f"{text}: ")


def test_an_item_is_seen_beside_its_object():
    assert number("item.n * object.spec.replicas", item={"n": 2}) == 6


def truth(text, raw=OBJECT):
    return Expression(text, "BOOL").truth(Scope(raw))


def test_conditions_are_those_that_are_true():
    assert truth("'Done' in conditions") is True
    assert truth("'Failed' in conditions") is False
    assert truth("'Done' in conditions", {"status": {"conditions": None}}) is False
    assert truth("'Done' in conditions", {"status": "odd"}) is False


def test_a_condition_that_is_no_bool_does_not_hold_and_fails():
    assert isinstance(truth("object.spec.replicas"), Failure)
    assert isinstance(truth("object.spec.absent"), Failure)


def amount(text):
    return Expression(text, "STRING", "INT").amount(Scope(OBJECT))


def test_amounts_are_texts_or_whole_numbers():
    assert (amount("'500m'"), amount("object.spec.replicas")) == ("500m", 3)
    assert isinstance(amount("object.spec.half"), Failure)
    assert isinstance(amount("object.spec.nothing"), Failure)
    assert isinstance(amount("object.spec.replicas > 1 ? object.spec.half : 1"), Failure)


def test_a_reason_does_not_quote_the_object():
    """Secrets may stand in the environment of its containers; reasons are written into logs."""
    said = number("object.spec.n", {"spec": {"secret": "hidden", "n": 2**80}})
    assert isinstance(said, Failure)
    assert "out of range" in said.why
    assert "hidden" not in str(said)


def test_a_deep_object_is_taken_in():
    """As deep as msgspec reads one."""
    deep: dict[str, object] = {}
    for _ in range(900):
        deep = {"a": deep}
    assert number("object.spec.n", {"spec": {"n": 1, "deep": deep}}) == 1


@given(spec=json_values())
def test_whatever_the_object_is_nothing_is_raised(spec):
    for text in ("object.spec.replicas * 2", "object.spec.?replicas.orValue(1)", "size(object.spec)"):
        said = number(text, {"spec": spec})
        assert isinstance(said, Failure) or 0 <= said < 2**31


@given(replicas=st.integers(-(2**31), 2**31 - 1), most=st.integers(0, 2**31 - 1))
def test_numbers_are_exact(replicas, most):
    raw = {"spec": {"replicas": replicas, "max": most}}
    assert number("math.least(object.spec.replicas, object.spec.max)", raw) == max(0, min(replicas, most))


def test_expressions_can_be_asked_in_any_thread():
    said = []
    thread = threading.Thread(target=lambda: said.append(number("object.spec.replicas")))
    thread.start()
    thread.join()
    assert said == [3]


def test_equal_texts_are_equal_expressions():
    assert Expression("1", "INT") == Expression("1", "INT")
    assert Expression("1", "INT") != Expression("2", "INT")
    assert len({Expression("1", "INT"), Expression("1", "INT")}) == 1
