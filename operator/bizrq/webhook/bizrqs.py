"""May this bizrq be created, changed or deleted? [T1-T7, K1-K4, A12, C9].

What a child takes is claimed in its parent's status before the child exists or grows. A parent that gains a key, or
goes, looks at its children by a list begun after the review, and at the claims in its own status: a child that is being
granted at that moment has changed the parent's version, and the parent's request is reviewed again.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from bizrq.clock import Clock
from bizrq.cluster.reads import Reads
from bizrq.domain.admission import Ask
from bizrq.domain.amounts import exceeding, first_of
from bizrq.domain.bizrq import GROUP, PLURAL, VERSION, Bizrq, read_bizrq
from bizrq.domain.cash import amount_text
from bizrq.domain.claims import Claim, ClaimError, Growth, parse_claim
from bizrq.domain.leftovers import leftovers_of
from bizrq.domain.probe import PROBE_KEY
from bizrq.domain.quantity import ZERO
from bizrq.domain.refusals import no_such_bizrq
from bizrq.domain.resource_names import PODS, GpuResources, key_problem
from bizrq.domain.tree import claimant_name, is_child, taken, takes
from bizrq.webhook.cash_periods import grants_anew, misplaced, warnings_of_change
from bizrq.webhook.claiming import Claiming, forbidden, invalid
from bizrq.webhook.commit import Missing
from bizrq.webhook.policy import Policy
from bizrq.webhook.review import Request, Verdict
from bizrq.workloads.kind import Kind
from bizrq.workloads.read import read_workload

__all__ = ["FORCE_DELETE", "BizrqReviews"]

FORCE_DELETE: Final = f"{GROUP}/force-delete"
"""Annotation that lets a bizrq go although workloads of its own still demand something [T4]."""

_DEEPEST: Final = 32
"""Levels of a tree: each is read before a child is created."""

_NAMED: Final = 5
"""Objects that a refusal names."""


class BizrqReviews:
    """Reviews of bizrqs."""

    def __init__(
        self,
        kinds: Iterable[Kind],
        claiming: Claiming,
        reads: Reads,
        gpus: GpuResources,
        policy: Policy,
        *,
        clock: Clock,
    ) -> None:
        self._kinds, self._claiming, self._reads, self._gpus = tuple(kinds), claiming, reads, gpus
        self._policy, self._clock = policy, clock
        self._count_keys = sorted(kind.count_key for kind in self._kinds)

    async def review(self, request: Request, deadline: float) -> Verdict:
        """A create, an update or a delete. Raises ``ClusterError`` where the API server cannot be asked."""
        resource = request.resource
        if (resource.group, resource.version, resource.resource) != (GROUP, VERSION, PLURAL) or request.sub_resource:
            return forbidden(f"{resource.resource}.{resource.group} is not reviewed here; only {PLURAL}.{GROUP} is")
        old = None if request.old_object is None else read_bizrq(request.old_object)
        new = None if request.object is None else _read_new(request.object)
        verdict = await self._decided(old, new, request, deadline)
        return replace(verdict, probe=request.dry_run and new is not None and PROBE_KEY in new.hard)

    async def _decided(self, old: Bizrq | None, new: Bizrq | None, request: Request, deadline: float) -> Verdict:
        match request.operation:
            case "CREATE" if new is not None:
                return await self._create(new, request, deadline)
            case "UPDATE" if new is not None and old is not None:
                return await self._update(old, new, request, deadline)
            case "DELETE" if old is not None:
                return await self._delete(old)
        return invalid(f"this review of a {request.operation} lacks the object")

    # --- create and update -------------------------------------------------------------------------------------------

    async def _create(self, new: Bizrq, request: Request, deadline: float) -> Verdict:
        if (refusal := await self._policy.rights.refuse_grant(request, new.parent)) is not None:
            return forbidden(refusal)
        problems = await misplaced(new, None, self._reads) or self._problems(new, None)
        if problems:
            return invalid(problems)
        if not new.parent:
            return Verdict.allow()
        circle = await self._way_up(new)
        if circle:
            return forbidden(circle)
        growth = Growth(new.uid, 0, claimant_name(new.name), {}, takes(new.hard, {}), keys=frozenset(new.hard))
        return await self._claim(new, growth, request, deadline)

    async def _update(self, old: Bizrq, new: Bizrq, request: Request, deadline: float) -> Verdict:
        # What it uses is that of the version under review; dropping a key is growth too [T2, T3].
        took, would_take = taken(old), takes(new.hard, old.used)
        grows = not old.hard.keys() <= new.hard.keys() or any(
            amount > took.get(key, ZERO) for key, amount in would_take.items()
        )
        # A raise within its use takes nothing more now, and would once less is used. A root's new key only limits it.
        if (_raises(old, new) or grants_anew(old, new) or (grows and new.parent)) and (
            refusal := await self._policy.rights.refuse_grant(request, new.parent)
        ) is not None:
            return forbidden(refusal)
        problems = await misplaced(new, old, self._reads) or self._problems(new, old)
        if problems:
            return invalid(problems)
        gained = sorted(new.hard.keys() - old.hard.keys())
        if gained:
            if (unread := _unread(old)) is not None:
                return unread
            lacking = await self._lacking(old, gained)
            if lacking:
                return forbidden(lacking)
        warnings = [*_over(old, new), *warnings_of_change(old, new, self._clock.now())]
        if not grows:
            return Verdict.allow(*warnings)
        if old.deleting:
            return forbidden(f"{old.name} is being deleted: its quota grows no more")
        if not new.parent:
            return Verdict.allow(*warnings)
        growth = Growth(
            uid=old.uid,
            version=old.version,
            object=claimant_name(old.name),
            old=took,
            new=would_take,
            keys=frozenset(new.hard),
            old_keys=frozenset(old.hard),
        )
        verdict = await self._claim(new, growth, request, deadline)
        return Verdict.allow(*verdict.warnings, *warnings) if verdict.allowed else verdict

    def _problems(self, new: Bizrq, old: Bizrq | None) -> str:
        """What is wrong with the fields that are new or changed [K1-K4, C9]; "" where nothing is."""
        before = old.hard if old else {}
        found = [str(problem) for key in sorted(new.hard.keys() - before.keys()) if (problem := self._key(key))]
        known = old.problems if old else ()
        found += [problem for problem in new.problems if problem not in known]
        return "; ".join(found[:_NAMED])

    def _key(self, key: str) -> str | None:
        problem = key_problem(key)
        if problem is not None:
            return f"spec.hard.{problem}"
        if key.startswith("count/") and key not in self._count_keys:
            near = difflib.get_close_matches(key, self._count_keys, n=1, cutoff=0.8)
            meant = f"did you mean {near[0]}?" if near else f"counted are {', '.join(self._count_keys)}"
            return f"spec.hard.{key}: no such kind of workload is counted; {meant}"
        return None

    async def _way_up(self, new: Bizrq) -> str:
        """Why ``new`` cannot stand below its parent: the way up would lead back to it [T1]; "" where it can."""
        name, way = new.parent, [new.name]
        while name:
            way.append(name)
            if name in way[:-1]:
                return f"{new.name} would be its own ancestor: {' -> '.join(way)}"
            if len(way) > _DEEPEST:
                return f"{new.name} would stand below {_DEEPEST} others, and no tree may be deeper"
            above = await self._reads.bizrq(name)
            name = above.parent if above else ""
        return ""

    async def _claim(self, child: Bizrq, growth: Growth, request: Request, deadline: float) -> Verdict:
        async def look() -> tuple[str, int] | None:
            found = await self._reads.bizrq(child.name)
            return None if found is None else (found.uid, found.version)

        dry_run = request.dry_run or await self._policy.modes.warns(request.namespace)
        verdict = await self._claiming.claim(child.parent, Ask(growth), deadline, dry_run=dry_run, look=look)
        if isinstance(verdict, Missing):
            told = await self._policy.rights.may_see_names(request, "grant")
            names, advice = await self._reads.bizrq_names() if told else [], "parents are created before their children"
            return forbidden(no_such_bizrq("spec.parentBizGroup", child.parent, names, advice))
        return verdict

    async def _lacking(self, parent: Bizrq, gained: Sequence[str]) -> str:
        """Which children lack keys that ``parent`` would gain [T5]; "" where none does."""
        lacking = {child.name: _without(gained, child.hard) for child in await self._reads.children(parent.name)}
        for claim in _claims(parent):
            if is_child(claim.object):
                name = claim.object.rpartition("/")[2]
                lacking[name] = sorted({*lacking.get(name, ()), *_without(gained, claim.demand)})
        children = sorted(name for name, keys in lacking.items() if keys)
        if not children:
            return ""
        told = first_of(children, lambda name: f"{name} ({', '.join(lacking[name][:_NAMED])})", "children")
        return f"{parent.name} cannot limit what its children do not limit yet; add the key to them first: {told}"

    # --- delete ------------------------------------------------------------------------------------------------------

    async def _delete(self, old: Bizrq) -> Verdict:
        if old.deleting:
            return Verdict.allow()
        children = sorted(child.name for child in await self._reads.children(old.name))
        if children:
            return forbidden(
                f"{old.name} has children, and only leaves can be deleted: {first_of(children, str, 'children')}"
            )
        if (unread := _unread(old)) is not None:
            return unread
        claims = list(_claims(old))
        granted = [claim.object.rpartition("/")[2] for claim in claims if is_child(claim.object)]
        if granted:
            return forbidden(
                f"{old.name} is granting quota to children that are being created: {first_of(granted, str, 'children')}"
            )
        if (old.raw["metadata"].get("annotations") or {}).get(FORCE_DELETE) == "true":
            return Verdict.allow()
        # Also one that asks for no pods: it is on its way, and would be stored under a bizrq that is gone.
        demanding = [claim.object for claim in claims] or await self._demanding(old.name)
        if demanding:
            return forbidden(
                f"workloads still demand something under {old.name}: {first_of(demanding, str, 'workloads')}; delete "
                f"these, scale them to 0 or label them for another bizrq; or annotate this one {FORCE_DELETE}=true, "
                "and what they run is charged to nobody"
            )
        left = [leftover.object for leftover in leftovers_of(old).values()]
        if left:  # they demand nothing any more, so it may go [T4]
            return Verdict.allow(
                f"pods are still there under {old.name} of {first_of(left, str, 'workloads')}; what they hold, and "
                "their hours from here on, are charged to nobody"
            )
        return Verdict.allow()

    async def _demanding(self, name: str) -> list[str]:
        return [
            str(workload)
            for kind in self._kinds
            for raw in await self._reads.workloads_of(kind, name)
            if (workload := read_workload(raw, kind, self._gpus)).demand.get(PODS) or not workload.counted
        ]


def _read_new(raw: Mapping[str, Any]) -> Bizrq:
    """An object that is about to be stored; that of a create has no version yet."""
    metadata = {"resourceVersion": "0", **raw["metadata"]}
    return read_bizrq({**raw, "metadata": metadata})


def _raises(old: Bizrq, new: Bizrq) -> bool:
    """Whether any limit is higher than it was, or gone."""
    return any(key not in new.hard or new.hard[key] > amount for key, amount in old.hard.items())


def _claims(bizrq: Bizrq) -> Iterator[Claim]:
    for line in bizrq.claims:
        try:
            yield parse_claim(line)
        except ClaimError:
            continue


def _unread(bizrq: Bizrq) -> Verdict | None:
    """Try again, where a claim is of a form to come: what it grants, only a later version knows."""
    for line in bizrq.claims:
        try:
            parse_claim(line)
        except ClaimError:
            return Verdict.try_again(f"a claim in {bizrq.name} is of another version of bizrq, and must close first")
    return None


def _without(keys: Sequence[str], hard: Mapping[str, object]) -> list[str]:
    return [key for key in keys if key not in hard]


def _over(old: Bizrq, new: Bizrq) -> list[str]:
    """Warnings where ``hard`` is lowered below what is used [T5]."""
    lowered = [key for key in exceeding(old.used, new.hard) if key not in old.hard or new.hard[key] < old.hard[key]]
    return [
        f"{new.name}: {key} is lowered to {amount_text(key, new.hard[key])}, and {amount_text(key, old.used[key])} are "
        "used: what runs is not stopped, only growth is refused until it fits"
        for key in lowered
    ]
