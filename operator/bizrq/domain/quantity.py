"""How is a quantity text read, added, compared, printed? [K6].

A ``Quantity`` is an exact number of nano-units and the family of suffixes it was written in. It follows
apimachinery's ``resource.Quantity``: rounding away from zero below one nano, a cap of 2**63-1 on values with a
binary suffix, canonical text on output. It is stricter in one way: a text longer than 32 characters or with more
than two exponent digits is refused before it is parsed, since ``1e1000000000`` costs minutes of processor time.
"""

from __future__ import annotations

import enum
import re
from typing import Final, final

import msgspec

__all__ = ["MAX_OWN_TEXT", "MAX_TEXT", "ZERO", "Form", "Quantity", "QuantityError", "from_json", "parse", "parse_own"]

MAX_TEXT: Final = 32
"""Characters of a quantity text; the CRD has the same bound [K6]."""

MAX_OWN_TEXT: Final = 256
"""Characters of a quantity that we printed: sums and canonical forms may be longer than what people may write.
32 characters times the pods of a cluster stay far below; the CRD has the same bound.
"""

_NANO: Final = 10**9
_MILLI: Final = 10**6  # nano-units in a milli-unit
_BINARY_CAP: Final = (2**63 - 1) * _NANO  # apimachinery caps values written with a binary suffix


class Form(enum.IntEnum):
    """The family of suffixes a quantity was written in; it decides how a sum is printed."""

    DECIMAL_SI = 0  # m, k, M, G ...
    BINARY_SI = 1  # Ki, Mi, Gi ...
    EXPONENT = 2  # 1e3


class QuantityError(ValueError):
    """A text is no well-formed quantity; the message says what was wrong and what is meant probably [A14]."""


_BINARY: Final = Form.BINARY_SI
_EXPONENT: Final = Form.EXPONENT


@final
class Quantity(msgspec.Struct, frozen=True, gc=False, eq=False):
    """An exact amount [K6]; what it measures is said by its key. Immutable, ordered, hashable by value.

    A struct of msgspec, since it is made in a sixth of the time of a class that guards its fields in Python.
    """

    nano: int
    form: Form = Form.DECIMAL_SI

    @classmethod
    def from_milli(cls, milli: int, form: Form = Form.DECIMAL_SI) -> Quantity:
        """Return ``milli`` thousandths."""
        return cls(milli * _MILLI, form)

    @classmethod
    def of(cls, units: int, form: Form = Form.DECIMAL_SI) -> Quantity:
        """Return ``units`` whole units."""
        return cls(units * _NANO, form)

    def milli(self) -> int:
        """Thousandths, rounded away from zero as ResourceQuota does [P3]."""
        nano = self.nano
        return -(-nano // _MILLI) if nano >= 0 else nano // _MILLI

    def rounded_up_to_milli(self) -> Quantity:
        """Return the same amount without anything below a thousandth, rounded away from zero [P3]."""
        return self if self.nano % _MILLI == 0 else Quantity(self.milli() * _MILLI, self.form)

    def __add__(self, other: Quantity) -> Quantity:
        if other.__class__ is not Quantity:
            return NotImplemented
        if self.nano == 0:  # as apimachinery: zero has no form of its own
            return other
        return Quantity(self.nano + other.nano, self.form)

    def __sub__(self, other: Quantity) -> Quantity:
        if other.__class__ is not Quantity:
            return NotImplemented
        return Quantity(self.nano - other.nano, self.form if self.nano else other.form)

    def __mul__(self, times: int) -> Quantity:
        """Return the amount of ``times`` replicas."""
        if times.__class__ is not int:
            return NotImplemented
        return Quantity(self.nano * times, self.form)

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Quantity):
            return NotImplemented
        return self.nano == other.nano

    def __ne__(self, other: object) -> bool:  # the struct has one of its own, by identity
        if not isinstance(other, Quantity):
            return NotImplemented
        return self.nano != other.nano

    def __lt__(self, other: Quantity) -> bool:
        if other.__class__ is not Quantity:
            return NotImplemented
        return self.nano < other.nano

    def __le__(self, other: Quantity) -> bool:
        if other.__class__ is not Quantity:
            return NotImplemented
        return self.nano <= other.nano

    def __gt__(self, other: Quantity) -> bool:
        if other.__class__ is not Quantity:
            return NotImplemented
        return self.nano > other.nano

    def __ge__(self, other: Quantity) -> bool:
        if other.__class__ is not Quantity:
            return NotImplemented
        return self.nano >= other.nano

    def __hash__(self) -> int:
        return hash(self.nano)

    def __bool__(self) -> bool:
        return self.nano != 0

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        """Canonical text, the same that ``kubectl`` prints for this amount."""
        nano, form = self.nano, self.form
        if form is _BINARY:
            text = _binary_text(nano)
            if text is not None:
                return text
        if form is _EXPONENT:
            return _decimal_text(nano, -9, exponents=True)
        units, rest = divmod(nano, _NANO)
        if not rest:  # nearly all amounts are whole, or whole milli-units
            return _decimal_text(units, 0) if units else "0"
        milli, rest = divmod(nano, _MILLI)
        return _decimal_text(nano, -9) if rest else f"{milli}m"


ZERO: Final = Quantity(0)


_UNITS: Final[dict[str, tuple[int, Form]]] = {
    # suffix: nano-units in one, form
    "n": (1, Form.DECIMAL_SI),
    "u": (10**3, Form.DECIMAL_SI),
    "m": (10**6, Form.DECIMAL_SI),
    "": (10**9, Form.DECIMAL_SI),
    "k": (10**12, Form.DECIMAL_SI),
    "M": (10**15, Form.DECIMAL_SI),
    "G": (10**18, Form.DECIMAL_SI),
    "T": (10**21, Form.DECIMAL_SI),
    "P": (10**24, Form.DECIMAL_SI),
    "E": (10**27, Form.DECIMAL_SI),
    "Ki": (_NANO << 10, Form.BINARY_SI),
    "Mi": (_NANO << 20, Form.BINARY_SI),
    "Gi": (_NANO << 30, Form.BINARY_SI),
    "Ti": (_NANO << 40, Form.BINARY_SI),
    "Pi": (_NANO << 50, Form.BINARY_SI),
    "Ei": (_NANO << 60, Form.BINARY_SI),
}
_DECIMAL_SUFFIX: Final = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_BINARY_SUFFIX: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")

# [0-9], not \d: other scripts' digits are no digits to Kubernetes.
_GRAMMAR: Final = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([A-Za-z]*)(?:([+-]?)([0-9]+))?")

_PARSED: dict[str, Quantity] = {}
_PARSED_MAX: Final = 4096  # distinct texts of a busy cluster are some hundreds; the bound keeps a hostile one small


def parse(text: str) -> Quantity:
    """Read a quantity text.

    Raises ``QuantityError`` for anything that apimachinery refuses (blanks, ``1K``, ``1_000``, ``NaN``), and for
    texts over 32 characters or with more than two exponent digits [K6]. Also for a text without any digit ("", ".",
    "Ki"), which apimachinery partly takes for zero.
    """
    known = _PARSED.get(text)
    if known is not None:
        return known
    quantity = _parse(text)
    if len(_PARSED) >= _PARSED_MAX:
        _PARSED.clear()
    _PARSED[text] = quantity
    return quantity


def parse_own(text: str) -> Quantity:
    """Read a quantity that this program printed, as in a status: the inverse of ``str`` for every sum.

    Sums pass the bounds of what people may write: ``1000e99`` prints as ``1e102``, 2 x ``4Ei`` as ``8Ei``, which
    ``parse`` refuses or caps. Raises ``QuantityError`` as ``parse`` does, at 256 characters and three exponent digits.
    """
    return _parse(text, own=True)


def from_json(value: object) -> Quantity:
    """Read a quantity from JSON, where whole numbers may stand without quotes.

    Raises ``QuantityError``; a number with a fraction is refused, since it has been through a float already [A14].
    """
    if isinstance(value, str):
        return parse(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if -(10**MAX_TEXT) < value < 10**MAX_TEXT:
            return parse(str(value))
        return _refuse("a number", _too_long(MAX_TEXT))
    if isinstance(value, float):
        _refuse(repr(value), 'a number with a fraction must be written as text, for example "1500m"')
    return _refuse(_kind_of(value), 'a quantity is a text such as "500m" or "2Gi", or a whole number')


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "a list" if isinstance(value, list) else "an object"


def _too_long(longest: int) -> str:
    return f"longer than {longest} characters"


def _refuse(shown: str, why: str) -> Quantity:
    msg = f"{shown} is not a quantity: {why}"
    raise QuantityError(msg)


def _parse(text: str, *, own: bool = False) -> Quantity:
    longest = MAX_OWN_TEXT if own else MAX_TEXT
    if len(text) > longest:
        _refuse(repr(text[:MAX_TEXT] + "..."), _too_long(longest))
    # Most texts are digits and at most one suffix: no grammar needed.
    if text.isascii():
        if text.isdigit():
            return Quantity(int(text) * _NANO)
        cut = -2 if text[-1:] == "i" else -1
        unit = _UNITS.get(text[cut:])
        if unit is not None and (head := text[:cut]).isdigit():
            return _made(int(head) * unit[0], unit[1], own=own)
    return _parse_any(text, own=own)


def _made(nano: int, form: Form, *, own: bool) -> Quantity:
    if form is _BINARY:
        if not (own or -_BINARY_CAP <= nano <= _BINARY_CAP):
            return Quantity(_BINARY_CAP if nano > 0 else -_BINARY_CAP, form)
        if -_NANO < nano < _NANO and nano != 0:  # apimachinery prints less than one byte in decimal
            return Quantity(nano, Form.DECIMAL_SI)
    return Quantity(nano, form)


def _parse_any(text: str, *, own: bool) -> Quantity:
    match = _GRAMMAR.fullmatch(text)
    shown = repr(text)
    if match is None:
        return _refuse(shown, _advice(text))
    sign, whole, fraction, suffix, exponent_sign, exponent_digits = match.groups()
    fraction = fraction or ""
    if not whole and not fraction:
        return _refuse(shown, _advice(text))
    exponent = 0
    if exponent_digits is not None:
        if suffix not in {"e", "E"}:
            return _refuse(shown, f"unknown suffix {suffix + (exponent_sign or '') + exponent_digits!r}")
        if len(exponent_digits) > (3 if own else 2):  # [K6]
            return _refuse(shown, "an exponent has at most two digits")
        exponent = int(exponent_digits) * (-1 if exponent_sign == "-" else 1)
        unit, form = _NANO, Form.EXPONENT
    elif suffix in _UNITS:
        unit, form = _UNITS[suffix]
    else:
        return _refuse(shown, _unknown_suffix(suffix))
    numerator = int(whole + fraction or "0") * unit
    shift = exponent - len(fraction)
    if shift >= 0:
        nano = numerator * 10**shift
    else:
        nano = -(-numerator // 10**-shift)  # away from zero below one nano
    return _made(-nano if sign == "-" else nano, form, own=own)


def _advice(text: str) -> str:
    if text.strip() != text:
        return "it has blanks around it"
    if "_" in text or "," in text:
        return "write digits without separators"
    if not any(map(str.isdigit, text)):
        return 'it has no digits; write for example "500m", "4" or "2Gi"'
    return 'write digits and a suffix, for example "500m", "4" or "2Gi"'


def _unknown_suffix(suffix: str) -> str:
    if suffix == "K":
        return 'unknown suffix "K"; write k for 1000 or Ki for 1024'
    if suffix in {"g", "t", "p", "gi", "mi", "ti", "ki", "KI", "MI", "GI", "TI"}:
        good = suffix[0].upper() + suffix[1:].lower()
        return f'unknown suffix "{suffix}"; "{good}" is probably meant'
    if suffix.endswith(("B", "b")) and suffix[:-1] in _UNITS:
        return f'unknown suffix "{suffix}"; write it without B: "{suffix[:-1]}"'
    return f'unknown suffix "{suffix}"; known are n u m k M G T P E and Ki Mi Gi Ti Pi Ei'


def _binary_text(nano: int) -> str | None:
    """Text with a binary suffix, or None where apimachinery falls back to decimal ones."""
    units, rest = divmod(nano, _NANO)
    if rest or -1024 < units < 1024:  # noqa: PLR2004
        return None
    power = 0
    while units % 1024 == 0 and power < len(_BINARY_SUFFIX) - 1:
        units >>= 10
        power += 1
    return f"{units}{_BINARY_SUFFIX[power]}"


def _decimal_text(number: int, exponent: int, *, exponents: bool = False) -> str:
    """Text of ``number`` x 10**``exponent``, with as many thousands in the suffix as it has."""
    if number == 0:
        return "0"
    while number % 1000 == 0 and (exponents or exponent < 18):  # noqa: PLR2004  # E is the largest suffix
        number //= 1000
        exponent += 3
    if exponents:
        return f"{number}e{exponent}" if exponent else str(number)
    return f"{number}{_DECIMAL_SUFFIX[exponent]}"
