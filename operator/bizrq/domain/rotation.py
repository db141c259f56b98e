"""What is the next step, so that the API server reaches the webhook: certificate, authority, token?

Two objects have to fit together: the Secret, out of which the webhooks serve, and the webhook configuration, by which
API servers call. Neither is known everywhere at once: for a while after a write some webhooks and some API servers go
on with the version before. So whatever is replaced is known to the other side first, for as long as that may take:

1. issue: the Secret gets a staged certificate, its authority beside the old one, and a new token beside the old one;
2. the configuration trusts both authorities;
3. once that is known everywhere, the configuration calls by the new token, and the Secret serves the new certificate;
4. once that is known everywhere, the Secret forgets the old token and the old authority, then the configuration does.

Each step is one write, follows from what is stored now, and may be repeated, or be taken by two controllers at once: a
write over a version that was not read fails. How long something has been there is what this process has seen itself,
by a clock that only goes forward: no time that somebody else wrote is believed, and after a restart it is waited anew.
Where what is served is of no use, nothing is waited for.

The configuration must be read before the Secret: then whatever token it names was in the Secret already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["Call", "Entry", "Fact", "Issue", "Kept", "Pair", "Patch", "Rest", "Rules", "Step", "Store"]
__all__ += ["facts_of", "issued", "next_step", "seen_after"]

_MOST_AUTHORITIES: Final = 8
"""More than a rotation needs; so much survives of several repairs in a row, and a Secret has an end."""

_MOST_TOKENS: Final = 4

_SKEW_SECONDS: Final = 86_400
"""By how much the clocks of controllers may differ before a time is taken as wrong."""

Fact = tuple[str, str]
"""Something that is stored, of which it matters how long it has been."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, all in PEM; times are epoch seconds."""

    certificate: str
    key: str
    authority: str
    """The certificate of whoever signed it. The key of that was forgotten then: it signed this one and no other."""
    names: frozenset[str]
    """The DNS names it is for."""
    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What the Secret says."""

    serving: Pair | None = None
    """What the webhooks serve; None where that is missing, broken, or of an authority that is lost."""
    staged: Pair | None = None
    """What they will serve."""
    authorities: tuple[str, ...] = ()
    """What the API servers have to trust, in PEM; the newest first."""
    tokens: tuple[str, ...] = ()
    """What the webhooks accept; the newest first."""
    tokens_made: int | None = None
    """When the newest token was made, in epoch seconds."""
    asked: bool = False
    """Whether somebody wants a rotation now."""
    tidy: bool = True
    """Whether the Secret says just this, and nothing broken beside it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """How the API servers call one entry of the configuration, by a service."""

    name: str
    names: frozenset[str]
    """The DNS names of the service; API servers ask for one of them."""
    authorities: tuple[str, ...] = ()
    """What they trust, in PEM."""
    token: str = ""
    """"" where the path has none."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What was set."""

    lifetime: float
    """Seconds that a new certificate is for; it is renewed when a third is left, and tokens are with it."""
    propagation: float
    """Seconds after which every webhook and every API server knows what was written."""
    certificates: bool = True
    """Whether certificates and authorities are ours to make; else tokens only."""


@dataclass(frozen=True, slots=True)
class Issue:
    """Make these and store what ``issued`` says."""

    names: frozenset[str] = frozenset()
    """The DNS names of a new certificate; none: no certificate is needed."""
    token: bool = False


@dataclass(frozen=True, slots=True)
class Store:
    """Replace the Secret."""

    kept: Kept
    why: str


@dataclass(frozen=True, slots=True)
class Call:
    """How an entry is to be called."""

    token: str
    authorities: tuple[str, ...] | None
    """None: whatever is there, it is not ours."""


@dataclass(frozen=True, slots=True)
class Patch:
    """Change entries of the configuration, by their names."""

    calls: Mapping[str, Call]


@dataclass(frozen=True, slots=True)
class Rest:
    """There is nothing to write yet."""

    why: str
    settled: bool = False
    """Whether there is nothing to wait for either, until a certificate grows old."""


Step = Issue | Store | Patch | Rest


def facts_of(kept: Kept, entries: Sequence[Entry]) -> frozenset[Fact]:
    """What the two objects say."""
    facts: set[Fact] = {("accepted", token) for token in kept.tokens}
    if kept.serving:
        facts.add(("served", kept.serving.certificate))
    if entries:
        trusted = frozenset.intersection(*(frozenset(entry.authorities) for entry in entries))
        facts |= {("trusted", authority) for authority in trusted}
        facts |= {("called", entry.token) for entry in entries if all(each.token == entry.token for each in entries)}
    return frozenset(facts)


def seen_after(seen: Mapping[Fact, float], facts: Iterable[Fact], at: float) -> dict[Fact, float]:
    """Since when each of the ``facts`` has been seen, at ``at`` or, without a break, since before.

    ``at`` is an instant after the objects were read, in seconds of a clock that only goes forward.
    """
    return {fact: seen.get(fact, at) for fact in facts}


def next_step(
    kept: Kept, entries: Sequence[Entry], seen: Mapping[Fact, float], *, now: int, at: float, rules: Rules
) -> Step:
    """The one next write.

    ``seen`` is what ``seen_after`` made of this view at ``at``; ``now`` is in epoch seconds.
    """

    def known(fact: Fact) -> bool:
        """Whether it has been there for so long that it is known everywhere."""
        return fact in seen and at - seen[fact] >= rules.propagation

    if not entries:
        return Rest("no entry of the webhook configuration names a service")
    names = frozenset[str]().union(*(entry.names for entry in entries))

    def fits(pair: Pair | None) -> bool:
        return pair is not None and names <= pair.names and pair.begins <= now < pair.ends - 2 * rules.propagation

    issue = _needed(kept, names, fits, now, rules)
    if issue:
        return issue
    if not kept.tidy:
        return Store(replace(kept, tidy=True), "what was broken in it is taken away")
    calls = _calls(kept, entries, known, rules)
    if calls:
        return Patch(calls)
    if kept.staged:
        if fits(kept.serving) and not known(("trusted", kept.staged.authority)):
            return Rest("until every API server trusts the new authority")
        return Store(replace(kept, serving=kept.staged, staged=None), "the new certificate is served from now on")
    return _rest_or_drop(kept, known)


def _needed(
    kept: Kept, names: frozenset[str], fits: Callable[[Pair | None], bool], now: int, rules: Rules
) -> Issue | None:
    """What has to be made, if anything has."""
    serving, newest = kept.serving, kept.staged or kept.serving
    if not rules.certificates:
        token = not kept.tokens or (len(kept.tokens) == 1 and (kept.asked or _old(kept.tokens_made, now, rules)))
        return Issue(token=True) if token else None
    if not fits(newest):
        # API servers may call by the service's old name for a while.
        old = serving.names if serving and not names <= serving.names else frozenset()
        return Issue(names | old, token=not kept.tokens)
    if not kept.tokens:
        return Issue(token=True)
    settled = kept.staged is None and len(kept.authorities) == 1 and len(kept.tokens) == 1
    if settled and serving and (kept.asked or not _ends_in_time(serving, now, rules)):
        return Issue(names, token=True)
    return None


def _ends_in_time(pair: Pair, now: int, rules: Rules) -> bool:
    """Whether it is neither for too short a time any more, nor for longer than it would be made for.

    The latter was made by a clock that was ahead, or for a lifetime that is not wanted any more.
    """
    return rules.lifetime / 3 < pair.ends - now <= rules.lifetime + _SKEW_SECONDS


def _old(made: int | None, now: int, rules: Rules) -> bool:
    """Whether a token is older than a certificate gets, or of a time that cannot be."""
    return made is None or not made - _SKEW_SECONDS <= now < made + rules.lifetime * 2 / 3


def issued(kept: Kept, entries: Sequence[Entry], *, pair: Pair | None, token: str | None, now: int) -> Kept:
    """What to store once a step ``Issue`` was made.

    Where the Secret has lost something, what the API servers still go by is put back: the webhooks that run may have
    it in memory, and nothing is called in vain.
    """
    if token is not None:
        known = kept.tokens or tuple(entry.token for entry in entries if entry.token)
        kept = replace(kept, tokens=_distinct((token, *known))[:_MOST_TOKENS], tokens_made=now)
    if pair is not None:
        served = (kept.serving.authority,) if kept.serving else ()
        trusted = () if kept.serving else tuple(each for entry in entries for each in entry.authorities)
        authorities = _distinct((pair.authority, *served, *kept.authorities, *trusted))[:_MOST_AUTHORITIES]
        kept = replace(kept, authorities=authorities, staged=pair if kept.serving else None)
        kept = replace(kept, serving=kept.serving or pair)
    return replace(kept, asked=False, tidy=True)


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _calls(kept: Kept, entries: Sequence[Entry], known: Callable[[Fact], bool], rules: Rules) -> dict[str, Call]:
    """How those entries are to be called that are called otherwise.

    Each goes on with its token if that is accepted, until the newest is known to all webhooks. One that has none gets
    the oldest, which they know for sure.
    """
    newest, oldest = kept.tokens[0], kept.tokens[-1]
    authorities = kept.authorities if rules.certificates else None
    calls = {}
    for entry in entries:
        token = entry.token if entry.token in kept.tokens else oldest
        call = Call(newest if known(("accepted", newest)) else token, authorities)
        if call != Call(entry.token, entry.authorities if rules.certificates else None):
            calls[entry.name] = call
    return calls


def _rest_or_drop(kept: Kept, known: Callable[[Fact], bool]) -> Step:
    """What is left once nothing is staged. Nothing is served either where certificates are not ours."""
    newest = kept.tokens[0]
    only = (kept.serving.authority,) if kept.serving else kept.authorities
    if kept.authorities == only and len(kept.tokens) == 1:
        return Rest("all is as it should be", settled=True)
    served = kept.serving is None or known(("served", kept.serving.certificate))
    if served and known(("called", newest)):
        return Store(replace(kept, authorities=only, tokens=(newest,)), "the old authority and token are forgotten")
    return Rest("until the old authority and the old token are used nowhere")
