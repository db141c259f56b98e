"""What does a create cost that bizrq decides on, beside one that is allowed anyway, or that nobody is asked about?"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from benchmarks.admission_bed import ALLOW, BIZRQ, NONE, QUOTA, Bed, bizrq, running
from benchmarks.admission_load import Clients, Created, Instants, body, url
from benchmarks.harness import Table, median
from bizrq.cluster.client import Client
from bizrq.cluster.credentials import load_credentials
from bizrq.cluster.store import BIZRQS_URL

__all__ = ["measure"]

_CLIENTS: Final = 64
_FULL: Final = {"rounds": 5, "creates": 1000, "rush": 512, "blocks": 4, "block": 25, "single": 10}
_QUICK: Final = {"rounds": 2, "creates": 200, "rush": 128, "blocks": 2, "block": 10, "single": 3}
"""Creates by all clients, a round and mode; how many then rush for the last cores; and by one client blocks of creates,
one right after the other, and single ones."""

_MANY: Final = 100
_ENOUGH: Final = 10**6
_LEFT: Final = 32
"""Cores that are left in the one bizrq when the timed creates are done; then there is a rush for them."""
_PAUSE: Final = 0.4
"""Seconds before a single create: whatever the webhook keeps of a bizrq is forgotten by then."""

_HUNDRED: Final = "bizrq over 100"
_PUT: Final = "one write of a status"
_CROWD: Final = (NONE, QUOTA, ALLOW, BIZRQ, _HUNDRED)
_ALONE: Final = (NONE, QUOTA, ALLOW, BIZRQ, _PUT)
_WHAT: Final = {
    NONE: "no quota",
    QUOTA: "native ResourceQuota",
    ALLOW: "allows everything",
    BIZRQ: "bizrq, one",
    _HUNDRED: f"bizrq, {_MANY}",
    _PUT: "compare-and-swap of a status",
}
_HOW: Final = ("in a row", "single")
_RATE, _CONFLICTS, _ADDED = 0.85, 0.1, 1.5
"""The targets: share of the rate of allowing everything, conflicts an admission, compare-and-swaps added."""
_LITTLE: Final = 0.01
"""Milliseconds of processor time a create that are not worth a line."""
_NOBODY: Final = "nobody"
_STORED, _CONFLICT, _GRANTED = "claims_writes stored", "claims_writes conflict", "claims_granted"


def measure(quick: bool) -> tuple[Table, dict[str, Any]]:  # noqa: FBT001  # the command line's flag
    """The table, and all figures of all rounds."""
    size = _QUICK if quick else _FULL
    with running() as bed:
        rounds = asyncio.run(_Run(bed, size).rounds())
    medians = _medians(rounds)
    for line in _targets(medians):
        print(f"  {line}", flush=True)
    return _table(medians), {"size": size, "medians": medians, "rounds": rounds}


class _Run:
    """All rounds on one cluster."""

    def __init__(self, bed: Bed, size: Mapping[str, int]) -> None:
        self._bed, self._size = bed, size
        self._names = (f"d{number}" for number in itertools.count())
        self._groups = (f"one-{number}" for number in itertools.count())
        self._clients: Clients
        self._client: Client

    async def rounds(self) -> list[dict[str, Any]]:
        """Every round: all modes with many clients, then with one."""
        credentials = load_credentials(self._bed.cluster.kubeconfig)
        async with Clients(credentials) as self._clients, Client(credentials, user_agent="benchmark") as self._client:
            self._many = [f"many-{number}" for number in range(_MANY)]
            self._bed.apply(*(bizrq(name, _ENOUGH) for name in [*self._many, "alone", "put"]))
            await self._counted(*self._many, "alone", "put")
            await self._warm_up()
            done = []
            for number in range(self._size["rounds"]):
                # Whoever comes first in one round comes last in the next: a drift of the machine hits all alike.
                order = _CROWD if number % 2 == 0 else tuple(reversed(_CROWD))
                crowd = {mode: await self._crowd(mode) for mode in order}
                alone = await self._alone(self._size["block"], self._size["blocks"], self._size["single"])
                done.append({"crowd": crowd, "alone": alone})
                shown = ", ".join(f"{_WHAT[mode]} {crowd[mode]['rate']:.0f}/s" for mode in _CROWD)
                print(f"  round {number + 1} of {self._size['rounds']}: {shown}", flush=True)
        return done

    async def _warm_up(self) -> None:
        """Connections, caches, and what is made at the first time only."""
        for mode in (NONE, QUOTA, ALLOW, BIZRQ):
            groups = self._many if mode == BIZRQ else [_NOBODY]
            bodies = [body(next(self._names), groups[number % len(groups)]) for number in range(2 * _MANY)]
            await self._clients.create_all(_CLIENTS, url(mode), bodies)
        await self._alone(2, 1, 0)

    async def _counted(self, *names: str) -> None:
        """Wait until the controller has counted these bizrqs once: before, nothing is granted."""
        async with asyncio.timeout(60):
            while True:
                listed = msgspec.json.decode(await self._client.get(BIZRQS_URL))["items"]
                counted = {each["metadata"]["name"] for each in listed if "used" in (each.get("status") or {})}
                if counted.issuperset(names):
                    return
                await asyncio.sleep(0.1)

    async def _crowd(self, mode: str) -> dict[str, Any]:
        creates = self._size["creates"]
        groups, path = [_NOBODY], url(BIZRQ if mode == _HUNDRED else mode)
        if mode == BIZRQ:
            groups = [next(self._groups)]
            self._bed.apply(bizrq(groups[0], creates + _LEFT))
            await self._counted(*groups)
        elif mode == _HUNDRED:
            groups = self._many
        since = int(msgspec.json.decode(await self._client.get(BIZRQS_URL))["metadata"]["resourceVersion"])
        before = self._bed.webhook_counters()
        bodies = [body(next(self._names), groups[number % len(groups)]) for number in range(creates)]
        busy = self._bed.processor_seconds()
        created = await self._clients.create_all(_CLIENTS, path, bodies)
        figures = _figures(created) | {"processor": _each(busy, self._bed.processor_seconds(), creates)}
        if mode in {BIZRQ, _HUNDRED}:
            figures |= _written(before, self._bed.webhook_counters())
        if mode == BIZRQ:
            names = [next(self._names) for _ in range(self._size["rush"])]
            rush = await self._clients.rush(_CLIENTS, path, names, groups[0])
            instants = await Instants.of(self._client, groups[0], path, since)
            figures |= {
                "rush": rush.codes,
                "hard": creates + _LEFT,
                "most at a time": instants.most,
                "most used": instants.most_used,
                "over-admitted": max(0, instants.most - creates - _LEFT),
                "above used": instants.uncovered,
                "instants": instants.checked,
            }
        await asyncio.sleep(1)  # the controller counts what there is
        return figures

    async def _alone(self, block: int, blocks: int, single: int) -> dict[str, dict[str, float]]:
        """Milliseconds of one client, median: in blocks, one right after the other, and single ones."""
        blocked: dict[str, list[float]] = {mode: [] for mode in _ALONE}
        singly: dict[str, list[float]] = {mode: [] for mode in _ALONE}
        for number in range(blocks):
            for mode in _turned(_ALONE, number):
                blocked[mode] += await self._one_by_one(mode, block)
        for number in range(single):
            for mode in _turned(_ALONE, number):
                await asyncio.sleep(_PAUSE)
                singly[mode] += await self._one_by_one(mode, 1)
        return {
            mode: {
                "in a row": _milli(median(blocked[mode])),
                "single": _milli(median(singly[mode])) if single else 0.0,
            }
            for mode in _ALONE
        }

    async def _one_by_one(self, mode: str, times: int) -> list[float]:
        if mode == _PUT:
            return await self._clients.replaced("put", times)
        group = "alone" if mode == BIZRQ else _NOBODY
        bodies = [body(next(self._names), group) for _ in range(times)]
        return (await self._clients.create_all(1, url(mode), bodies)).seconds


def _turned(modes: Sequence[str], number: int) -> Iterator[str]:
    return itertools.islice(itertools.cycle(modes), number % len(modes), number % len(modes) + len(modes))


def _milli(seconds: float) -> float:
    return round(seconds * 1e3, 3)


def _figures(created: Created) -> dict[str, Any]:
    return {
        "rate": round(created.rate, 1),
        "p50": _milli(created.percentile(0.5)),
        "p99": _milli(created.percentile(0.99)),
        "codes": created.codes,
    }


def _each(before: Mapping[str, float], after: Mapping[str, float], creates: int) -> dict[str, float]:
    """Milliseconds of processor time a create, by process; webhooks and balancers together."""
    spent: dict[str, float] = {}
    for name, seconds in after.items():
        who = name.rstrip("-12")
        spent[who] = spent.get(who, 0) + _milli((seconds - before.get(name, 0)) / creates)
    return {who: round(each, 3) for who, each in spent.items() if each >= _LITTLE}


def _written(before: Sequence[Mapping[str, float]], after: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What the replicas wrote meanwhile, an admission each."""
    more = [
        {name: now.get(name, 0) - then.get(name, 0) for name in (_STORED, _CONFLICT, _GRANTED)}
        for then, now in zip(before, after, strict=True)
    ]
    granted = sum(each[_GRANTED] for each in more) or 1
    conflicts = sum(each[_CONFLICT] for each in more)
    return {
        "conflicts": round(conflicts / granted, 3),
        "PUTs": round((conflicts + sum(each[_STORED] for each in more)) / granted, 3),
        "replicas": more,
    }


def _medians(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures by what was measured; a ratio or a difference is the median of those of the rounds."""
    crowd: dict[str, dict[str, float]] = {}
    for mode in _CROWD:
        mine, allow = [each["crowd"][mode] for each in rounds], [each["crowd"][ALLOW] for each in rounds]
        names = [name for name in ("rate", "p50", "p99", "conflicts", "PUTs") if name in mine[0]]
        crowd[mode] = {name: _middle(each[name] for each in mine) for name in names}
        crowd[mode]["of allow"] = _middle(one["rate"] / other["rate"] for one, other in zip(mine, allow, strict=True))
        crowd[mode]["processor"] = _middle(sum(each["processor"].values()) for each in mine)
    alone: dict[str, dict[str, float]] = {mode: {} for mode in _ALONE}
    for mode, how in itertools.product(_ALONE, _HOW):
        of_all = [{name: figures[how] for name, figures in each["alone"].items()} for each in rounds]
        alone[mode] |= {
            how: _middle(each[mode] for each in of_all),
            f"{how}, added": _middle(each[mode] - each[NONE] for each in of_all),
            f"{how}, in PUTs": _middle((each[mode] - each[NONE]) / each[_PUT] for each in of_all),
        }
    over = max(each["crowd"][BIZRQ]["over-admitted"] for each in rounds)
    return {"crowd": crowd, "alone": alone, "over-admitted": over}


def _middle(values: Iterable[float]) -> float:
    return round(median(values), 3)


def _targets(medians: Mapping[str, Any]) -> Iterator[str]:
    crowd, alone, over = medians["crowd"], medians["alone"], medians["over-admitted"]
    for mode in (BIZRQ, _HUNDRED):
        rate, conflicts = crowd[mode]["of allow"], crowd[mode]["conflicts"]
        yield _target(
            rate >= _RATE, f"{_WHAT[mode]}: {rate:.2f} times the rate of allowing everything, at least {_RATE}"
        )
        yield _target(
            conflicts < _CONFLICTS, f"{_WHAT[mode]}: {conflicts:.3f} conflicts an admission, below {_CONFLICTS}"
        )
    for how in _HOW:
        ours, allow = alone[BIZRQ][f"{how}, in PUTs"], alone[ALLOW][f"{how}, in PUTs"]
        text = f"one client, {how}: {ours:.2f} times a compare-and-swap is added ({allow:.2f} by allowing everything)"
        yield _target(ours <= _ADDED, f"{text}, at most {_ADDED}")
    yield _target(not over, f"{over} cores over-admitted, none")


def _target(met: bool, text: str) -> str:  # noqa: FBT001  # the yes or no is what it is about
    return f"{'met' if met else 'MISSED'}: {text}"


def _table(medians: Mapping[str, Any]) -> Table:
    headings = [
        "what", f"creates/s of {_CLIENTS}", "ratio", "p50", "p99", "CPU", "conflicts", "PUTs", "over",
        "one, in a row: p50", "added", "in PUTs", "one, single: p50", "added", "in PUTs",
    ]  # fmt: skip
    rows = [[_WHAT[mode], *_crowd_cells(medians, mode), *_alone_cells(medians, mode)] for mode in (*_CROWD, _PUT)]
    return headings, rows


def _crowd_cells(medians: Mapping[str, Any], mode: str) -> list[str]:
    got = medians["crowd"].get(mode)
    if got is None:
        return [""] * 8
    return [
        f"{got['rate']:,.0f}",
        f"{got['of allow']:.2f}",
        f"{got['p50']:.0f} ms",
        f"{got['p99']:,.0f} ms",
        f"{got['processor']:.1f} ms",
        *(f"{got[name]:.3f}" if name in got else "" for name in ("conflicts", "PUTs")),
        str(medians["over-admitted"]) if mode == BIZRQ else "",
    ]


def _alone_cells(medians: Mapping[str, Any], mode: str) -> list[str]:
    cells, got = [], medians["alone"].get(mode)
    for how in _HOW:
        added = got is not None and mode not in {NONE, _PUT}
        cells += [
            f"{got[how]:.1f} ms" if got else "",
            f"{got[f'{how}, added']:.1f} ms" if added else "",
            f"{got[f'{how}, in PUTs']:.2f}" if added else "",
        ]
    return cells
