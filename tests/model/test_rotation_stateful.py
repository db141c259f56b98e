"""The rotation at any moment: two controllers that read, decide and write whenever they like, and news that is late.

An API server goes by any version of the configuration that was the newest within the last ``D`` seconds, a webhook
serves a certificate, and takes tokens, of any version of the Secret that was. Each of them must get through to each.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bizrq.domain.rotation import (
    Entry,
    Fact,
    Issue,
    Kept,
    Pair,
    Patch,
    Rest,
    Rules,
    Step,
    Store,
    facts_of,
    issued,
    next_step,
    seen_after,
)

D = 300
DAY = 86_400
RULES = Rules(lifetime=90 * DAY, propagation=D)
NAMES = frozenset({"w.n.svc"})
START = 1_800_000_000

CONTROLLERS = st.integers(0, 1)


@dataclass
class History:
    """The versions of one object, and when each was written."""

    versions: list[tuple[float, Any]] = field(default_factory=list)

    def write(self, value, at):
        self.versions.append((at, value))

    @property
    def newest(self):
        return len(self.versions) - 1

    def held(self, at):
        """Those that somebody may go by at ``at``."""
        ends = [written for written, _ in self.versions[1:]] + [float("inf")]
        return [value for (_, value), end in zip(self.versions, ends, strict=True) if end > at - D]


@dataclass
class Controller:
    """What one has in memory."""

    skew: int
    seen: dict[Fact, float] = field(default_factory=dict)
    configuration: int | None = None
    """The version that it has read, before it reads the Secret."""
    secret: int | None = None
    step: Step | None = None
    """What it is about to write over these versions."""


class Rotating(RuleBasedStateMachine):
    """Certificates are numbers here: that a key fits is a matter of the real ones."""

    told = RULES
    careful = True

    def __init__(self):
        super().__init__()
        self.at = 0
        self.numbers = itertools.count(1)
        self.secret, self.configuration = History(), History()
        self.installed = None

    @initialize(skews=st.tuples(st.integers(-600, 600), st.integers(-600, 600)), entries=st.integers(1, 2))
    def helm_installs(self, skews, entries):
        self.controllers = [Controller(skew) for skew in skews]
        self.secret.write(Kept(), 0)
        self.configuration.write(tuple(Entry(f"e{number}", NAMES) for number in range(entries)), 0)

    # --- what happens ---

    @rule(seconds=st.sampled_from([1, D // 3, D - 1, D]))
    def time_passes(self, seconds):
        self.at += seconds

    @rule(number=CONTROLLERS)
    def reads_the_configuration(self, number):
        one = self.controllers[number]
        one.configuration, one.secret, one.step = self.configuration.newest, None, None

    @rule(number=CONTROLLERS)
    def reads_the_secret_and_decides(self, number):
        one = self.controllers[number]
        if one.configuration is None or one.step is not None:
            return
        one.secret = self.secret.newest
        kept, entries = self.view(one)
        one.seen = self.saw(seen_after(one.seen, facts_of(kept, entries), self.at))
        now = START + self.at + one.skew
        one.step = next_step(kept, entries, one.seen, now=now, at=self.at, rules=self.told)

    @rule(number=CONTROLLERS)
    def writes(self, number):
        one = self.controllers[number]
        step, one.step = one.step, None
        if step is None:
            return
        kept, entries = self.view(one)
        if isinstance(step, Patch) and self.compares(one.configuration, self.configuration):
            self.configuration.write(tuple(self.patched(each, step) for each in entries), self.at)
        if isinstance(step, Issue | Store) and self.compares(one.secret, self.secret):
            self.secret.write(step.kept if isinstance(step, Store) else self.make(step, kept, entries, one), self.at)
        one.configuration = None
        self.note_the_installation()

    @rule(number=CONTROLLERS, times=st.integers(1, 6))
    def works_without_being_held_up(self, number, times):
        for _ in range(times):
            self.reads_the_configuration(number)
            self.reads_the_secret_and_decides(number)
            self.writes(number)

    @rule(number=CONTROLLERS)
    def is_started_anew(self, number):
        self.controllers[number] = Controller(self.controllers[number].skew)

    @rule()
    def somebody_asks_for_a_rotation(self):
        self.secret.write(replace(self.secret.versions[-1][1], asked=True), self.at)

    # --- what must be ---

    @invariant()
    def every_call_gets_through(self):
        if self.installed is None or self.at < self.installed + D:
            return
        kept = self.secret.held(self.at)
        for entries in self.configuration.held(self.at):
            for entry in entries:
                for each in kept:
                    assert entry.token in each.tokens, "a token that is not accepted"
                    if self.told.certificates:
                        assert entry.names <= each.serving.names
                        assert each.serving.authority in entry.authorities, "a certificate that is not trusted"

    def teardown(self):
        """Whatever happened: within a while of quiet the last rotation is over, and nothing is left of it."""
        if not self.secret.versions:
            return
        for _ in range(80):
            self.at += D // 4
            self.works_without_being_held_up(0, 6)
            self.every_call_gets_through()
        kept = self.secret.versions[-1][1]
        ours = int(self.told.certificates)
        assert (kept.staged, kept.asked, len(kept.tokens), len(kept.authorities)) == (None, False, 1, ours)
        assert isinstance(self.controllers[0].step, Rest | None)
        for entry in self.configuration.versions[-1][1]:
            assert (entry.token, entry.authorities) == (kept.tokens[0], kept.authorities)

    # --- helpers ---

    def view(self, one):
        return self.secret.versions[one.secret or 0][1], self.configuration.versions[one.configuration or 0][1]

    def saw(self, seen):
        """Since when a controller has seen what it sees."""
        return seen

    def compares(self, read, history):
        """Whether a write over the version that was read goes through."""
        return read == history.newest or not self.careful

    @staticmethod
    def patched(entry, step):
        call = step.calls.get(entry.name)
        return replace(entry, token=call.token, authorities=call.authorities or ()) if call else entry

    def make(self, step, kept, entries, one):
        number, now = next(self.numbers), START + self.at + one.skew
        begins, ends = now - 365 * DAY, now + int(self.told.lifetime)
        pair = Pair(f"c{number}", f"k{number}", f"a{number}", step.names, begins, ends)
        token = f"token-{number}" if step.token else None
        return issued(kept, entries, pair=pair if step.names else None, token=token, now=now)

    def note_the_installation(self):
        done = all(entry.token for entry in self.configuration.versions[-1][1])
        if self.installed is None and done:
            self.installed = self.at


class TokensOnly(Rotating):
    """Somebody else makes the certificates."""

    told = replace(RULES, certificates=False)


class Damaged(Rotating):
    """People break what they can, and clocks jump; in the end they stop."""

    quiet = float("inf")
    """Since when nothing is broken any more, and a controller works."""

    @rule()
    def the_configuration_is_made_anew(self):
        entries = self.configuration.versions[-1][1]
        self.configuration.write(tuple(replace(each, token="", authorities=()) for each in entries), self.at)

    @rule(token=st.sampled_from(["", "wrong"]), authorities=st.sampled_from([(), ("wrong",)]))
    def an_entry_is_changed(self, token, authorities):
        first, *others = self.configuration.versions[-1][1]
        self.configuration.write((replace(first, token=token, authorities=authorities), *others), self.at)

    @rule(name=st.sampled_from(["w.n.svc", "v.n.svc"]))
    def the_service_is_called_otherwise(self, name):
        entries = self.configuration.versions[-1][1]
        self.configuration.write(tuple(replace(each, names=frozenset({name})) for each in entries), self.at)

    @rule(lost=st.sampled_from(["serving", "staged", "authorities", "tokens", "all"]))
    def the_secret_loses(self, lost):
        empty, kept = Kept(), self.secret.versions[-1][1]
        if lost == "authorities" and (kept.serving or kept.staged):
            return  # a certificate whose authority is lost counts as lost
        broken = empty if lost == "all" else replace(kept, **{lost: getattr(empty, lost)}, tidy=False)
        self.secret.write(broken, self.at)

    @rule(number=CONTROLLERS, days=st.sampled_from([-200, -1, 40, 80, 1000]))
    def a_clock_jumps(self, number, days):
        self.controllers[number].skew += days * DAY

    @invariant()
    def every_call_gets_through(self):
        """Once news of the repair is everywhere."""
        if self.at >= self.quiet + 2 * D:
            super().every_call_gets_through()

    def teardown(self):
        self.quiet = self.at
        super().teardown()


class DamagedTokens(Damaged):
    """The same where somebody else makes the certificates."""

    told = TokensOnly.told


@pytest.mark.parametrize("machine", [Damaged, DamagedTokens], ids=["all is ours", "tokens are ours"])
def test_whatever_is_broken_is_repaired(machine):
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=40))


@pytest.mark.parametrize("machine", [Rotating, TokensOnly], ids=["all is ours", "tokens are ours"])
def test_whenever_controllers_read_write_and_die_every_call_gets_through(machine):
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=60))


# --- that this can fail: rotations with one thing wrong --------------------------------------------------------------


class Hasty(Rotating):
    """Takes each fact of a kind as known everywhere, at once."""

    kind = ""

    def saw(self, seen):
        return seen | {fact: -D for fact in seen if fact[0] == self.kind}


def without_waiting_until(kind, **more):
    """A rotation that is hasty with a kind of facts."""
    return type("Hasty", (Hasty,), {"kind": kind, **more})


class Impatient(Rotating):
    """News takes longer than it believes."""

    told = replace(RULES, propagation=D // 2)


class Forgetful(Rotating):
    """A new certificate or token takes the place of the old one at once."""

    def make(self, step, kept, entries, one):
        made = super().make(step, kept, entries, one)
        return replace(made, authorities=made.authorities[:1], tokens=made.tokens[:1])


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(without_waiting_until("accepted"), id="the token is used before all webhooks accept it"),
        pytest.param(without_waiting_until("trusted"), id="the certificate is served before all trust its authority"),
        pytest.param(
            without_waiting_until("called", told=TokensOnly.told), id="the token is dropped while some call by it"
        ),
        pytest.param(Impatient, id="news takes longer than was believed"),
        pytest.param(Forgetful, id="what is new takes the place of what is old"),
    ],
)
def test_a_rotation_that_is_wrong_is_caught(machine):
    chosen = settings(
        max_examples=1000, stateful_step_count=60, database=None, phases=[Phase.generate], derandomize=True,
        report_multiple_bugs=False,
    )  # fmt: skip
    with pytest.raises(AssertionError, match=r"not trusted|not accepted"):
        run_state_machine_as_test(machine, settings=chosen)


# --- what seldom comes by chance -------------------------------------------------------------------------------------


class Careless(Rotating):
    """What was written meanwhile is written over."""

    careful = False


def installed(machine):
    """A machine where all has been quiet for a while, and somebody wants a rotation."""
    made = machine()
    made.helm_installs((0, 0), 1)
    made.works_without_being_held_up(0, 3)
    made.at += 2 * D
    made.somebody_asks_for_a_rotation()
    return made


def rotate(machine, number):
    """One controller goes through a rotation, as fast as it may."""
    for _ in range(3):
        machine.works_without_being_held_up(number, 4)
        machine.at += D


def test_a_controller_that_comes_back_after_a_rotation_writes_over_nothing():
    def comes_back(machine):
        made = installed(machine)
        made.reads_the_configuration(1)
        made.reads_the_secret_and_decides(1)
        rotate(made, 0)
        made.writes(1)
        made.every_call_gets_through()

    comes_back(Rotating)
    with pytest.raises(AssertionError):
        comes_back(Careless)


def test_an_authority_is_not_dropped_while_some_serve_by_it_though_all_call_by_the_new_token():
    def is_slow(machine):
        made = installed(machine)
        for seconds in (0, D, D):  # staged; trusted, and called by the new token; served
            made.works_without_being_held_up(0, 1)
            made.reads_the_configuration(0)
            made.reads_the_secret_and_decides(0)
            made.at += seconds
        made.works_without_being_held_up(0, 4)
        assert made.secret.versions[-1][1].staged is None
        made.every_call_gets_through()

    is_slow(Rotating)
    with pytest.raises(AssertionError, match="not trusted"):
        is_slow(without_waiting_until("served"))


def test_the_configuration_is_read_before_the_secret():
    """Else a token that is newer than the Secret that was read looks like a wrong one."""
    made = installed(Rotating)
    one, (_, old) = made.controllers[1], made.secret.versions[-1]
    rotate(made, 0)
    made.reads_the_configuration(1)
    one.seen = seen_after({}, facts_of(old, made.view(one)[1]), made.at)
    entries = made.configuration.versions[-1][1]
    wrong = next_step(replace(old, asked=False), entries, one.seen, now=START + made.at, at=made.at, rules=RULES)
    assert isinstance(wrong, Patch)
    made.reads_the_secret_and_decides(1)
    assert isinstance(one.step, Rest)
