"""How is a rule of the claim protocol tested? A run of events goes well, and does not once the rule is broken."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from tests.support.world.invariants import Violation

__all__ = ["LATER", "Mutation", "broken"]

Mutation = Callable[[pytest.MonkeyPatch], None]
Scenario = Callable[[], None]

LATER = {"reviewed": False}
"""How a request comes in whose review begins later."""


def broken(mutation: Mutation, caught: str) -> Callable[[Scenario], Callable[..., None]]:
    """A scenario as two tests: it goes well, and with the rule broken what ``caught`` names is violated."""

    def decorate(scenario: Scenario) -> Callable[..., None]:
        @pytest.mark.parametrize("rule", ["kept", "broken"])
        @functools.wraps(scenario)
        def test(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
            if rule == "kept":
                scenario()
                return
            mutation(monkeypatch)
            with pytest.raises(Violation, match=f"^{caught}: "):
                scenario()

        del test.__wrapped__  # its arguments are not the scenario's
        return test

    return decorate
