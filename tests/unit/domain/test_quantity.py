"""[K6] quantities: apimachinery's own vectors, the documented stricter refusals, and laws."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kubernetes.utils import parse_quantity

from bizrq.domain import quantity
from bizrq.domain.quantity import (
    MAX_OWN_TEXT,
    MAX_TEXT,
    ZERO,
    Form,
    Quantity,
    QuantityError,
    from_json,
    parse,
    parse_own,
)
from tests.support.strategies import json_values, quantities, quantity_texts

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "quantity.json").read_text())

STRICTER = {
    **dict.fromkeys([".", "+", "-", "Ki", "m"], "it has no digits"),
    "e3": "write digits and a suffix",
    **dict.fromkeys(["1e007", "0e100", "1e100", "1e-100", "1e+000"], "an exponent has at most two digits"),
    **dict.fromkeys(["0" * 32 + "1", "0." + "0" * 31 + "1", "1" + "0" * 33], "longer than 32 characters"),
}
"""What apimachinery takes and bizrq refuses, and why [K6]."""


def canonical(text: str) -> str | None:
    try:
        return str(parse(text))
    except QuantityError:
        return None


def refused(text: str) -> str | None:
    try:
        parse(text)
    except QuantityError as error:
        return str(error)
    return None


# --- agreement with apimachinery -------------------------------------------------------------------------------------


def test_every_text_is_taken_or_refused_and_printed_as_by_apimachinery() -> None:
    ours = {vector["text"]: canonical(vector["text"]) for vector in VECTORS["one"]}
    theirs = {vector["text"]: vector.get("canonical") for vector in VECTORS["one"] if vector["text"] not in STRICTER}
    assert len(theirs) > 450
    assert {text: ours[text] for text in theirs} == theirs


@pytest.mark.parametrize(("text", "why"), STRICTER.items())
def test_what_apimachinery_takes_and_we_refuse_is_a_short_list(text: str, why: str) -> None:
    assert text in {vector["text"] for vector in VECTORS["one"] if vector["ok"]}
    with pytest.raises(QuantityError, match=why):
        parse(text)


def test_rounding_up_to_milli_agrees_with_apimachinery() -> None:  # [P3]
    theirs = {v["text"]: v["milli"] for v in VECTORS["one"] if v["ok"] and v["text"] not in STRICTER}
    assert {text: str(parse(text).rounded_up_to_milli()) for text in theirs} == theirs


def test_sums_differences_and_order_agree_with_apimachinery() -> None:
    assert len(VECTORS["two"]) == 400
    for vector in VECTORS["two"]:
        a, b = parse(vector["a"]), parse(vector["b"])
        ours = {
            "a": vector["a"],
            "b": vector["b"],
            "sum": str(a + b),
            "difference": str(a - b),
            "order": (a > b) - (a < b),
        }
        assert ours == vector


# --- strictness ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "named", "way_out"),
    [
        pytest.param("NaN", "'NaN'", "no digits", id="not a number"),
        pytest.param("Infinity", "'Infinity'", "no digits", id="infinity"),
        pytest.param("-inf", "'-inf'", "no digits", id="minus infinity"),
        pytest.param("1_000", "'1_000'", "write digits without separators", id="underscores"),
        pytest.param("1,000", "'1,000'", "write digits without separators", id="commas"),
        pytest.param(" 1", "' 1'", "it has blanks around it", id="a blank before"),
        pytest.param("1\n", "'1\\n'", "it has blanks around it", id="a line's end behind"),
        pytest.param("\uff11", "'\uff11'", 'write digits and a suffix, for example "500m"', id="full-width digits"),
        pytest.param("\u0661", "'\u0661'", 'write digits and a suffix, for example "500m"', id="Arabic digits"),
        pytest.param("1K", "'1K'", "write k for 1000 or Ki for 1024", id="K"),
        pytest.param("1gi", "'1gi'", '"Gi" is probably meant', id="a suffix in small letters"),
        pytest.param("64GiB", "'64GiB'", 'write it without B: "Gi"', id="bytes"),
        pytest.param("1d", "'1d'", "known are n u m k M G T P E and Ki Mi Gi Ti Pi Ei", id="no suffix at all"),
        pytest.param("1e3Ki", "'1e3Ki'", 'write digits and a suffix, for example "500m"', id="exponent and suffix"),
        pytest.param("0x10", "'0x10'", "unknown suffix", id="hexadecimal"),
        pytest.param("1.2.3", "'1.2.3'", 'write digits and a suffix, for example "500m"', id="two points"),
        pytest.param("--1", "'--1'", 'write digits and a suffix, for example "500m"', id="two signs"),
        pytest.param("", "''", "it has no digits; write for example", id="an empty text"),
        pytest.param("1e1000000000", "'1e1000000000'", "an exponent has at most two digits", id="a costly exponent"),
        pytest.param("1" * 33, "'" + "1" * 32 + "...'", "longer than 32 characters", id="33 characters"),
        pytest.param(True, "true", 'a quantity is a text such as "500m" or "2Gi", or a whole number', id="true"),
        pytest.param(False, "false", "a whole number", id="false"),
        pytest.param(1.5, "1.5", 'must be written as text, for example "1500m"', id="a number with a fraction"),
        pytest.param(1.0, "1.0", "must be written as text", id="a float without a fraction"),
        pytest.param(None, "null", 'a text such as "500m"', id="null"),
        pytest.param([1], "a list", 'a text such as "500m"', id="a list"),
        pytest.param({"a": 1}, "an object", 'a text such as "500m"', id="an object"),
        pytest.param(10**40, "a number", "longer than 32 characters", id="a whole number of 41 digits"),
        pytest.param(-(10**40), "a number", "longer than 32 characters", id="a negative one"),
        pytest.param(-(10**31), "'-1", "longer than 32 characters", id="a sign counts as a character"),
    ],
)
def test_a_refusal_names_the_value_and_a_way_out(value: object, named: str, way_out: str) -> None:
    with pytest.raises(QuantityError) as refusal:
        from_json(value)
    message = str(refusal.value)
    assert message.startswith(named)
    assert " is not a quantity: " in message
    assert way_out in message.partition(" is not a quantity: ")[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(4, "4", id="a whole number"),
        pytest.param(0, "0", id="zero"),
        pytest.param(-3, "-3", id="a negative one is a quantity; whoever wants >= 0 must say so"),
        pytest.param(10**31, "10000000000000E", id="32 digits"),
        pytest.param("1e+99", str(10**81) + "E", id="two exponent digits, with a sign"),
        pytest.param("+.5Gi", "512Mi", id="every optional part of the grammar"),
    ],
)
def test_json_numbers_without_fraction_and_odd_texts_are_taken(value: object, text: str) -> None:
    assert from_json(value) == parse_own(text)


def test_a_text_of_32_characters_is_taken_and_one_of_33_is_not() -> None:
    assert MAX_TEXT == 32
    assert parse("0" * 31 + "7") == Quantity.of(7)
    with pytest.raises(QuantityError):
        parse("0" * 32 + "7")


@given(st.text(max_size=40) | st.text("0123456789.+-eEKMGTPkmnui _", max_size=40))
def test_no_text_raises_anything_but_quantity_error_and_messages_stay_short(text: str) -> None:
    refusal = refused(text)
    assert refusal is None or len(refusal) < 400


@given(json_values())
def test_no_json_raises_anything_but_quantity_error(value: object) -> None:
    with contextlib.suppress(QuantityError):
        assert isinstance(from_json(value), Quantity)


def test_remembered_texts_are_bounded() -> None:
    for number in range(10_000):
        parse(f"{number}u")
    assert len(quantity._PARSED) <= quantity._PARSED_MAX


# --- what we wrote ourselves can be read again -----------------------------------------------------------------------


@given(quantity_texts(digits=13), quantity_texts(digits=13), st.integers(0, 2**31))
def test_every_sum_of_quantities_can_be_read_back(left: str, right: str, replicas: int) -> None:
    total = parse(left) * replicas + parse(right)
    assert parse_own(str(total)) == total


@pytest.mark.parametrize(
    "text", ["12345678901234567890123456789.1", "1000e99", "9999999999999999999999999999999E", "7Ei"]
)
def test_a_legal_hard_is_legal_again_where_status_repeats_it(text: str) -> None:
    assert len(text) <= MAX_TEXT
    printed = str(parse(text))
    assert parse_own(printed) == parse(text)
    assert str(parse_own(printed)) == printed


def test_a_long_text_of_our_own_is_not_remembered_for_people() -> None:
    text = "1" * 40
    assert parse_own(text).nano == int(text) * 10**9
    with pytest.raises(QuantityError):
        parse(text)
    for too_much in ("1" * (MAX_OWN_TEXT + 1), "1e1000"):
        with pytest.raises(QuantityError):
            parse_own(too_much)


def test_a_sum_over_the_cap_of_binary_suffixes_is_not_capped_when_read_back() -> None:
    assert parse("8Ei").nano == (2**63 - 1) * 10**9  # as apimachinery caps what people write
    total = parse("4Ei") * 3
    assert str(total) == "12Ei"
    assert parse_own("12Ei") == total


# --- laws ------------------------------------------------------------------------------------------------------------

_UNIT = {
    **dict(zip("numkMGTPE", (Fraction(1000) ** power for power in (-3, -2, -1, 1, 2, 3, 4, 5, 6)), strict=True)),
    **{f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", start=1)},
}


def exact(text: str) -> Fraction:
    """The value of a well-formed text, worked out in another way: nothing rounded, nothing capped."""
    suffix = text.lstrip("+-.0123456789")
    number = text[: len(text) - len(suffix)]
    value = Fraction(Decimal(number))
    if suffix in _UNIT:
        return value * _UNIT[suffix]
    return value * Fraction(10) ** int(suffix[1:]) if suffix else value


def to_nano_away_from_zero(value: Fraction) -> int:
    nano = abs(value) * 10**9
    up = -(-nano.numerator // nano.denominator)
    return up if value >= 0 else -up


@given(quantity_texts())
def test_a_text_means_its_value_to_the_nano_away_from_zero(text: str) -> None:
    value = exact(text)
    cap = 2**63 - 1
    if text.endswith("i") and abs(value) > cap:
        value = Fraction(cap if value > 0 else -cap)  # apimachinery caps binary suffixes
    assert parse(text).nano == to_nano_away_from_zero(value)


@given(quantity_texts())
def test_printing_keeps_the_value_and_is_a_fixed_point(text: str) -> None:
    value = parse(text)
    printed = str(value)
    assert parse_own(printed) == value
    assert str(parse_own(printed)) == printed


@given(quantity_texts(digits=6), quantity_texts(digits=6))
def test_order_is_that_of_the_numbers(left: str, right: str) -> None:
    a, b = parse(left), parse(right)
    x, y = Fraction(a.nano, 10**9), Fraction(b.nano, 10**9)
    assert (a < b, a <= b, a == b, a != b, a >= b, a > b) == (x < y, x <= y, x == y, x != y, x >= y, x > y)
    if a == b:
        assert hash(a) == hash(b)


@given(quantities(), quantities())
def test_subtraction_undoes_addition(left: Quantity, right: Quantity) -> None:
    assert (left + right) - right == left


@given(quantities(), quantities())
def test_addition_is_commutative_in_value(left: Quantity, right: Quantity) -> None:
    assert left + right == right + left


@given(quantities(), quantities(), quantities())
def test_addition_is_associative(a: Quantity, b: Quantity, c: Quantity) -> None:
    assert (a + b) + c == a + (b + c)


@given(quantities())
def test_zero_changes_neither_the_value_nor_the_text(amount: Quantity) -> None:
    assert str(ZERO + amount) == str(amount + ZERO) == str(amount)


@given(quantities(), st.integers(0, 50))
def test_replicas_times_an_amount_is_the_amount_added_up(amount: Quantity, replicas: int) -> None:
    total = ZERO
    for _ in range(replicas):
        total = total + amount
    assert amount * replicas == replicas * amount == total


@given(quantities())
def test_rounding_to_milli_never_goes_towards_zero_and_never_by_a_whole_milli(amount: Quantity) -> None:  # [P3]
    rounded = amount.rounded_up_to_milli()
    assert rounded.nano % 10**6 == 0
    assert 0 <= abs(rounded.nano) - abs(amount.nano) < 10**6
    assert (rounded.nano >= 0) == (amount.nano >= 0)
    assert rounded == Quantity.from_milli(amount.milli())
    assert rounded.rounded_up_to_milli() is rounded


@given(quantity_texts(digits=7))
def test_the_official_python_client_reads_the_same_value_where_it_reads_any(text: str) -> None:
    official: Any = parse_quantity  # it has no types
    theirs = Fraction(official(text))
    assume(abs(theirs) < 2**63 and (theirs * 10**9).denominator == 1)  # it neither rounds nor caps
    assert Fraction(parse(text).nano, 10**9) == theirs


# --- a value, and nothing but a value --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nano", "form", "extra"])
def test_a_quantity_does_not_change(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(parse("1"), name, 2)
    with pytest.raises(AttributeError):
        delattr(parse("1"), name)


@pytest.mark.parametrize("other", [1, 0, 1.0, True, "1", None, Decimal(1)])
def test_a_quantity_is_compared_and_added_only_with_its_own_kind(other: Any) -> None:
    one = parse("1")
    assert one != other
    attempts: tuple[Callable[[], object], ...] = (
        lambda: one < other,
        lambda: one <= other,
        lambda: one > other,
        lambda: one >= other,
        lambda: one + other,
        lambda: other + one,
        lambda: one - other,
        lambda: other - one,
    )
    for attempt in attempts:
        with pytest.raises(TypeError):
            attempt()


@pytest.mark.parametrize("times", [1.0, True, "2", None, Decimal(2)])
def test_only_a_whole_number_of_replicas_multiplies(times: Any) -> None:
    with pytest.raises(TypeError):
        parse("1") * times
    with pytest.raises(TypeError):
        parse("1") * parse("2")  # type: ignore[operator]


@given(quantities())
def test_copies_and_pickles_are_the_same_value_and_text(amount: Quantity) -> None:
    for other in (copy.copy(amount), copy.deepcopy(amount), pickle.loads(pickle.dumps(amount))):  # noqa: S301
        assert other == amount
        assert str(other) == str(amount)


def test_equal_amounts_are_one_key_whatever_their_suffix() -> None:
    assert len({parse("1Ki"), parse("1024"), parse("1.024k")}) == 1
    assert not parse("0Ki")
    assert parse("1n")


@pytest.mark.parametrize(
    ("text", "form"),
    [("1", Form.DECIMAL_SI), ("1k", Form.DECIMAL_SI), ("1Ki", Form.BINARY_SI), ("1e3", Form.EXPONENT)],
)
def test_the_form_is_that_of_the_text(text: str, form: Form) -> None:
    assert parse(text).form is form


def test_whole_units_and_thousandths() -> None:
    assert Quantity.of(2) == parse("2")
    assert Quantity.from_milli(1500) == parse("1500m")
    assert parse("1500m").milli() == 1500
    assert parse("1n").milli() == 1
    assert parse("-1n").milli() == -1
    assert repr(parse("2Gi")) == "<2Gi>"
