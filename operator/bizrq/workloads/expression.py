"""What does an expression of a kind's description say about an object?

Expressions are CEL, the language of matchConditions and of the rules in CRDs. They are compiled and type-checked when a
description is read. At run time an expression never raises: what it cannot say is a ``Failure`` with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

__all__ = ["MAX_PODS", "Expression", "ExpressionError", "Failure", "Scope"]

MAX_PODS: Final = 2**31 - 1
"""An int32 in every kind of Kubernetes; custom resources may say anything."""

_SHOWN: Final = 120
"""Characters of a reason that are shown: an error of the library may quote the whole object."""

_LONGEST: Final = 2000
"""Characters of an expression; a description is written by hand, and what is longer is a mistake."""

_WITHOUT_ITEM: Final = ("object", "conditions")
_VARIABLES: Final = (*_WITHOUT_ITEM, "item")


@final
class ExpressionError(ValueError):
    """A text is no expression, or one of the wrong type; the message says what is wrong and where."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an expression says nothing about an object."""

    expression: str
    why: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.expression}: {self.why}"


class Scope:
    """What expressions see of one object; it is translated once, whatever their number."""

    __slots__ = ("_activation", "_conditions", "_raw")

    def __init__(self, raw: Mapping[str, Any], item: object = None, conditions: list[str] | None = None) -> None:
        """``item`` is one item of a list, or one value of a map, where a group of pods stands for each.

        ``conditions`` are the true ones of ``raw``, where they are known.
        """
        self._raw, self._conditions = raw, _true(raw) if conditions is None else conditions
        self._activation = _environment().Activation({"object": raw, "item": item, "conditions": self._conditions})

    def of(self, item: object) -> Scope:
        """The same object with one of its items."""
        return Scope(self._raw, item, self._conditions)

    def value_of(self, compiled: cel.Expression) -> cel.Value:
        """What an expression says, as the library has it; an error is a value, too."""
        return compiled.eval(self._activation)


class Expression:
    """One expression, compiled."""

    __slots__ = ("_compiled", "needs_item", "text")

    def __init__(self, text: str, *types: str) -> None:
        """``types`` are those that its value may have: ``INT``, ``BOOL``, ``STRING``. Raises ``ExpressionError``."""
        self.text = text
        if len(text) > _LONGEST:
            msg = f"{text[:_SHOWN]}...: longer than {_LONGEST} characters"
            raise ExpressionError(msg)
        try:
            self._compiled = _environment().compile(text)
        except RuntimeError as error:
            msg = f"{text!r}: {_compiler_said(str(error))}"
            raise ExpressionError(msg) from error
        self.needs_item = not _compiles(text, _WITHOUT_ITEM)
        """Whether it says nothing but of an item."""
        of = self._compiled.return_type().name()
        if of not in {*types, "DYN"}:
            msg = f"{text!r}: its value is of type {of}, and must be of type {' or '.join(types)}"
            raise ExpressionError(msg)

    def __repr__(self) -> str:
        """The text, for whoever looks at a description."""
        return f"Expression({self.text!r})"

    def __eq__(self, other: object) -> bool:
        """Equal texts say the same."""
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        """As equality."""
        return hash(self.text)

    def number(self, scope: Scope) -> int | Failure:
        """A number of pods: whole, at least 0; one below 0 is 0."""
        value = self._value(scope)
        if isinstance(value, Failure):
            return value
        if value.__class__ is int and value <= MAX_PODS:
            return max(0, value)
        return Failure(self.text, f"must be a whole number of pods, not {_shown(value)}")

    def truth(self, scope: Scope) -> bool | Failure:
        """Whether it holds."""
        value = self._value(scope)
        return value if isinstance(value, bool | Failure) else Failure(self.text, f"must be a bool, not {value!r:.60}")

    def amount(self, scope: Scope) -> str | int | Failure:
        """An amount of a resource: the text of a quantity, or a whole number."""
        value = self._value(scope)
        if isinstance(value, str | int | Failure) and not isinstance(value, bool):
            return value
        return Failure(self.text, f"must be a quantity, not {_shown(value)}")

    def _value(self, scope: Scope) -> Any:
        try:
            value = scope.value_of(self._compiled)
            if value.type() == cel.Type.ERROR:
                return Failure(self.text, _reason(str(value.value())))
            return value.plain_value()
        except (RuntimeError, TypeError, ValueError) as error:  # an object that the library cannot take in
            return Failure(self.text, _reason(str(error)))


def _compiles(text: str, variables: tuple[str, ...]) -> bool:
    try:
        _environment(variables).compile(text)
    except RuntimeError:
        return False
    return True


@functools.cache
def _environment(variables: tuple[str, ...] = _VARIABLES) -> cel.Env:
    return cel.NewEnv(
        variables=dict.fromkeys(variables, cel.Type.DYN),
        extensions=[
            ext_bindings.ExtBindings(),
            ext_math.ExtMath(),
            ext_optional.ExtOptional(),
            ext_strings.ExtStrings(),
        ],
    )


def _true(raw: Mapping[str, Any]) -> list[str]:
    """The conditions of an object that are True: nearly every kind says by one of them that it is over."""
    status = raw.get("status")
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    if not isinstance(conditions, list):
        return []
    return [
        each["type"]
        for each in conditions
        if isinstance(each, Mapping) and each.get("status") == "True" and isinstance(each.get("type"), str)
    ]


def _reason(error: str) -> str:
    """An error of the library in short. It may quote the object after ``for``, which is no business of any log."""
    code, _, told = error.partition(": ")
    if code == "NOT_FOUND":
        return f"there is no field {told.rpartition(' ')[2]}"
    return (told or code).partition(" for '")[0][:_SHOWN]


def _compiler_said(message: str) -> str:
    """Its first complaint, without the picture of where."""
    line = message.partition("\n")[0]
    return line.partition("<input>:")[2] or line


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)[:60]
