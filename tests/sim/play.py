"""One run: a world, its controllers, and who does what next, all drawn by one seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from tests.sim.asking import Request
from tests.sim.checks import Watchman
from tests.sim.process import Process
from tests.sim.world import Plan, World
from tests.support.build import NOW
from tests.support.cas_leases import CasLeases
from tests.support.clocks import HandClock
from tests.support.world.loop import HandLoop

__all__ = ["Play", "play"]

DAY = 86400
MIDNIGHT = NOW - NOW % DAY + DAY
WATCHES = ("pods", "workloads", "bizrqs", "replica_sets")


class Play:
    """A run."""

    def __init__(self, plan: Plan, seed: int, loop: HandLoop) -> None:
        self.plan, self.dice, self.loop = plan, random.Random(seed), loop  # noqa: S311  # no secret
        self.clock = HandClock(MIDNIGHT - self.dice.randint(10, 100) if plan.day else NOW)
        edges = (MIDNIGHT, MIDNIGHT + DAY) if plan.day else ()
        self.world = World(plan, self.dice, self.clock, edges)
        self.world.attended = self._attended
        self.leases = CasLeases()
        self.watchman = Watchman(self.world, self.leases)
        self.processes: list[Process] = []
        self._started = 0

    # --- the run ---

    def run(self) -> None:
        """Everything, with all checks. Raises ``Wrong``."""
        self._start()
        while not self.processes[0].up:  # what goes before the first view of all is in no book, and nobody's fault
            for request in list(self.processes[0].requests):
                self.processes[0].answer(request, "told")
        steps = (
            (self._time, 10), (self._deliver, 30), (self._refresh, 22), (self._answer, 45), (self._renew, 6),
            (self._crash_or_start, 3), (self._resync, 1), (self._twice, 2), (self._farewell, 1), (self._compact, 1),
        )  # fmt: skip
        whats, weights = zip(*steps, strict=True)
        for what in self.dice.choices(whats, weights, k=self.plan.steps):
            what()
            self.watchman.look()
        self.rest()
        self.watchman.check_ledgers()
        self.restart_all()
        self.rest()
        self.watchman.check_ledgers()

    def rest(self) -> None:
        """All that is planned happens, all is told, all is written."""
        if not self.processes:
            self._start()
        self._settle()
        while (due := self.world.next_due) is not None:
            self._pass_to(max(due, self.clock.now() + self.plan.lag - 2))
            self._settle()
        self._pass_to(self.clock.now() + self.dice.randint(0, 70))
        self._settle()
        for _ in range(2):
            for group in self.world.live():
                for process in self._up():
                    process.refreshes(group.name, always=True)
            self._settle()

    def restart_all(self) -> None:
        """All die, and another begins from the floor."""
        for process in list(self.processes):
            self._kill(process)
        self._start()

    def _settle(self) -> None:
        for _ in range(300):
            busy = False
            for process in list(self.processes):
                for request in list(process.requests):
                    busy = True
                    process.answer(request, "told")
                for name in WATCHES:
                    if process.up and (process.behind(name) or (name == "pods" and process.reflector._version is None)):
                        busy = True
                        process.sees(name)
                for name in sorted(process.woken) if process.up else ():
                    busy = True
                    process.sees("pods")  # a bookmark at least: somebody else may know more
                    process.refreshes(name)
            self.watchman.look()
            if not busy:
                return
        raise AssertionError("it never comes to rest")

    # --- who is up ---

    def _up(self) -> list[Process]:
        return [process for process in self.processes if process.up]

    def _attended(self) -> bool:
        """Somebody sees what goes: all that run are up, and know all that is there."""
        return bool(self.processes) and all(
            process.up and not process.behind("workloads") and not process.behind("replica_sets")
            for process in self.processes
        )

    def _start(self) -> None:
        self._started += 1
        process = Process(
            f"c{self._started}", self.world.etcd, self.leases, self.clock, self.loop, orderly=self.plan.moves
        )
        self.processes.append(process)
        self.world.tell(f"{process.name} starts")
        process.start()

    def _kill(self, process: Process) -> None:
        self.world.tell(f"{process.name} dies, with {[request.what for request in process.requests]} on their way")
        self.processes.remove(process)
        process.die()

    def _fragile(self) -> bool:
        """Whether the end of a workload is known to running processes alone: who dies takes that away [C7]."""
        etcd = self.world.etcd
        for work in self.world.works.values():
            if not (work.gone or work.unlabelled or work.moving):
                continue
            for name in {whose for _, whose in work.stays}:
                if name not in etcd.names():  # it may be made again
                    if any(of is work and life.born_at and not life.gone_at for life, of in self.world.lives):
                        return True
                    continue
                cash = etcd.status(name).get("cash") or {}
                seen = int(str(cash.get("seen", "-1")).split(" ", maxsplit=1)[0])
                lines = [line for line in cash.get("moves") or () if line.split(" ")[1] == work.uid]
                told = any(work.controller["uid"] in line.split(" ")[6].split(",") for line in lines)
                if work.unlabelled:
                    told = told and all(" - " not in f" {line.split(' ')[4]} " for line in lines)
                pods = [life for life, of in self.world.lives if of is work and life.born_at]
                if not told and any(not life.gone_at or life.gone_at > seen for life in pods):
                    return True
        return False

    # --- steps ---

    def _pass_to(self, until: int) -> None:
        self.world.pass_time(until)

    def _time(self) -> None:
        seconds = self.dice.choice([1, 1, 2, 3, 5])
        for process in self._up():
            for name in WATCHES:
                behind = process.behind(name)
                if behind and self.clock.now() + seconds - behind[0].time > self.plan.lag:
                    process.sees(name, self.dice.randint(1, len(behind)))
        self._pass_to(self.clock.now() + seconds)

    def _deliver(self) -> None:
        names = [name for name in WATCHES if name != self.plan.laggard]
        choices = [(process, name) for process in self._up() for name in names if process.behind(name)]
        if choices:
            process, name = self.dice.choice(choices)
            process.sees(name, self.dice.choice([1, 1, 2, 5, None]))

    def _twice(self) -> None:
        for process in self._up():
            process.sees_again(self.dice.choice(WATCHES), self.dice.choice)

    def _refresh(self) -> None:
        for process in self._up():
            names = sorted(process.woken)
            if names and self.dice.random() < 0.8:
                process.refreshes(self.dice.choice(names))
            elif self.dice.random() < 0.2:
                process.refreshes(self.dice.choice(self.world.live()).name, always=True)

    def _answer(self) -> None:
        requests = [(process, request) for process in self.processes for request in process.requests]
        if not requests:
            return
        process, request = self.dice.choice(requests)
        process.answer(request, self._how(request))

    def _how(self, request: Request) -> str:
        if request.what.startswith("begin"):
            return "told"
        luck = self.dice.random()
        if request.done:
            return "lost" if luck < self.plan.faults else "told"
        if luck < self.plan.faults / 2:
            return "fails"
        return self.dice.choice(["done", "told", "told"])

    def _renew(self) -> None:
        for process in self._up():
            if self.dice.random() < 0.7:
                if self.dice.random() < self.plan.faults:
                    self.leases.lost_answers = 1
                process.renews()

    def _crash_or_start(self) -> None:
        if self._fragile() or not any(lease.floor for lease in self.leases.history):
            return
        if len(self.processes) < self.plan.processes:
            self._start()
        elif self.processes and self.dice.random() < self.plan.crashes * 20:
            self._kill(self.dice.choice(self.processes))

    def _resync(self) -> None:
        for process in self._up():
            if "resync" not in process.tasks:
                process.run("resync", process.resync())

    def _farewell(self) -> None:
        if self.plan.farewells and self.dice.random() < 0.4:
            self.world.farewell()

    def _compact(self) -> None:
        if self.plan.gaps:
            log = self.world.etcd.pods
            log.compacted = self.world.etcd.version - self.dice.choice([0, 5, 20])
            self.world.tell(f"events up to {log.compacted} are forgotten")


def play(plan: Plan, seed: int, *, before: Callable[[Play], None] = lambda _: None) -> Play:
    """Run a world to its end. Raises ``Wrong``, with the story as a note."""
    loop = HandLoop()
    asyncio.set_event_loop(loop)
    try:
        game = Play(plan, seed, loop)
        before(game)
        try:
            game.run()
        except Exception as error:
            error.add_note("\n".join(game.world.story[-120:]))
            raise
        return game
    finally:
        asyncio.set_event_loop(None)
        loop.end()
