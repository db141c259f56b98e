"""How does one see in a minute what bizrq does? ``make demo``, which runs ``python -m testbed.demo``.

A tour on a real control plane. Every step says what is about to be seen, runs the commands that anybody could type,
shows ``kubectl get bizrq`` as it changes, and checks that it shows what was said. Exit code 0 if all of it did, 1 if
something did not, 130 after Ctrl-C. Nothing is left running, unless the variable KEEP is set.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console

from testbed import control
from testbed.cluster import Cluster
from testbed.demo_read import COLUMNS, Json, cells, charged, condition, instant, ledger, line, rate, used
from testbed.errors import BedError
from testbed.operator_process import Operator
from testbed.prerequisites import check_machine

T = TypeVar("T")
Bizrqs = dict[str, Json]

_NODES: Final = 4
_RESYNC_SECONDS: Final = 3
"""A status is written at least that often here, so that one sees hours grow; the default is 5 minutes."""

_DEADLINE_SECONDS: Final = 60.0
"""Each step takes a few seconds; a busy machine may need many times that."""

_POLL_SECONDS: Final = 0.3
_UNCOUNTED_SECONDS: Final = 4
_TEAM: Final = "team-vision"
_GPU: Final = "requests.nvidia.com/gpu"


class ShowError(Exception):
    """A step does not show what it says; the message is for the person who watches."""


def main() -> int | str | None:
    """Run the tour; the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the test bed is taken down on the way
    keep = bool(os.environ.get("KEEP"))
    state = Path(tempfile.mkdtemp(prefix="bizrq-demo-"))
    tour = Tour(console, Cluster(state, nodes=_NODES))
    code: int | str | None = 1
    clean = False  # whether nothing is left to look into
    try:
        check_machine()
        tour.run()
        code, clean = 0, True
    except (KeyboardInterrupt, SystemExit) as stop:
        code, clean = (stop.code if isinstance(stop, SystemExit) else 128 + signal.SIGINT), True
        console.print("\ninterrupted", style="bold")
    except (ShowError, BedError) as error:
        console.print(f"\nThe tour failed: {error}", style="bold red", markup=False)
    finally:
        with _no_more_interrupts():
            _leave(tour, state, keep=keep and bool(tour.cluster.description), clean=clean)
    if code == 0:
        console.print(f"Done in {time.monotonic() - tour.began:.0f} s.", style="bold green")
    return code


def _leave(tour: Tour, state: Path, *, keep: bool, clean: bool) -> None:
    """Take everything down, or say how; after a failure the logs stay."""
    console = tour.console
    if keep:
        control.ask(state, do="own", pid=None)  # from now on only `down` ends it
        console.print("\nEverything runs on, as KEEP is set. To look around:", style="bold")
        console.print(f"  {tour.environment()}\n  kubectl get bizrq --watch", markup=False)
        console.print("To stop it, from the folder of the checkout:", style="bold")
        console.print(f"  .venv/bin/python -m testbed down --state {shlex.quote(str(state))}\n", markup=False)
        return
    tour.cluster.stop(keep_logs=not clean)
    if clean:
        shutil.rmtree(state, ignore_errors=True)
        console.print("\nEverything is stopped, and its folder is removed.")
    elif (state / "logs").exists():
        console.print(f"Everything is stopped. The logs are in {state / 'logs'}", markup=False)
    else:
        shutil.rmtree(state, ignore_errors=True)


@contextlib.contextmanager
def _no_more_interrupts() -> Iterator[None]:
    """A second Ctrl-C would leave servers running."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass
class Tour:
    """The steps, in order."""

    console: Console
    cluster: Cluster
    began: float = field(default_factory=time.monotonic)
    _step: int = 0

    def run(self) -> None:
        """All steps. Raises ShowError, BedError."""
        self.start_control_plane()
        operator = self.start_controller()
        self.make_tree()
        self.deploy()
        self.watch_cash()
        self.run_jobs()
        self.scale()
        self.kill_controller(operator)

    # --- the steps ---

    def start_control_plane(self) -> None:
        """A Kubernetes to try things in."""
        self.step(
            "A control plane",
            "etcd, API server, controller manager and scheduler are the real ones of Kubernetes, built from source the",
            f"first time. The {_NODES} nodes, of 64 cores and 8 GPUs each, are played by kwok: pods run in name only.",
        )
        self.cluster.start()
        self.kubectl("get", "nodes")
        self.say("To look for yourself while the tour goes on, type in another terminal:")
        self.say(f"  {self.environment()}\n  kubectl get bizrq --watch\n")

    def start_controller(self) -> Operator:
        """The thing itself."""
        arguments = [f"--resync-seconds={_RESYNC_SECONDS}"]
        self.step(
            "The bizrq controller",
            "Its CRD and its rights are installed, then it is started as a process of this machine:",
            f"  bizrq controller {shlex.join(arguments)}",
        )
        operator = self.cluster.start_operator(arguments)
        self.kubectl("api-resources", "--api-group=quota.bizrq.io")
        self.seen(f"the controller is ready (process {operator.pid})")
        return operator

    def make_tree(self) -> None:
        """A company, a department, a team."""
        self.step(
            "A tree of quotas",
            "The company acme, its department dept-ai, and the team team-vision. A child is cut out of its parent:",
            "what the department may use is used up in the company at once.",
        )
        self.kubectl("apply", "-f", "examples/01-tree.yaml")

        def granted(bizrqs: Bizrqs) -> bool:
            return (
                set(bizrqs) == {"acme", "dept-ai", _TEAM}
                and all(condition(each, "Ready").get("status") == "True" for each in bizrqs.values())
                and all(
                    used(bizrqs[parent], key) == bizrqs[child]["spec"]["hard"][key]
                    for parent, child in (("acme", "dept-ai"), ("dept-ai", _TEAM))
                    for key in ("limits.cpu", "limits.memory", _GPU)
                )
            )

        self.watch("all three are Ready, and each parent has given away what its child got", granted)

    def deploy(self) -> None:
        """A whole workload, with a model of CPU."""
        self.step(
            "A Deployment of 4 replicas, 4 cores each",
            "It counts whole, 16 cores, by the label on the Deployment. Its second label says that it runs on CPUs of",
            "model A4, so the same cores count on the key limits.cpu.A4 too. The parents gave these away already.",
        )
        self.kubectl("apply", "-f", "examples/02-deployment.yaml")
        team = self.watch(
            "16 cores are used, and they cost core-hours",
            lambda bizrqs: used(bizrqs[_TEAM], "limits.cpu") == "16" and rate(bizrqs[_TEAM], "limits.cpu") == "16",
        )[_TEAM]
        self.expect(used(team, "limits.cpu.A4") == "16", "16 cores on limits.cpu.A4")
        self.kubectl("get", "bizrq", _TEAM, "-o", "jsonpath={.status.used}")

    def watch_cash(self) -> None:
        """Hours grow."""
        self.step(
            "Core-hours tick",
            "Each pod is charged from the second in which it got its node: 16 cores cost 16 core-hours an hour, or",
            f"0.013 in {_RESYNC_SECONDS} seconds. See the column CASH-CPU:",
        )
        ticks: list[int] = []

        def ticked(bizrqs: Bizrqs) -> bool:
            now = ledger(bizrqs[_TEAM], "limits.cpu")
            if now not in ticks:
                ticks.append(now)
            return len(ticks) > 3  # noqa: PLR2004  # three ticks after the first look

        self.watch("the budget was drawn on three times", ticked)

    def run_jobs(self) -> None:
        """GPUs, models, and card-hours against the pods' own timestamps."""
        self.step(
            "A burst of Jobs on GPUs",
            "4 Jobs of 4 pods, 2 at a time, a card and 5 seconds each; two of the Jobs ask for the model A30.",
            "Cards are taken and given back. Card-hours stay.",
        )
        self.kubectl("apply", "-f", "examples/03-burst-of-jobs.yaml")
        busy = self.watch("the 4 Jobs hold all 8 cards of the team", lambda bizrqs: used(bizrqs[_TEAM], _GPU) == "8")
        self.expect(used(busy[_TEAM], f"{_GPU}.A30") == "4", "4 cards of the model A30")
        self.seen("4 of them are A30")
        idle = self.watch(
            "the Jobs are complete, and all cards are back",
            lambda bizrqs: used(bizrqs[_TEAM], _GPU) == "0" and rate(bizrqs[_TEAM], _GPU) == "0",
        )[_TEAM]
        self.say("Are the hours right? The pods still exist, and say when they got a node and when they ended.")
        self.say("The books, in thousandths of a card-second:")
        self.kubectl("get", "bizrq", _TEAM, "-o", "jsonpath={.status.cash.ledger}")
        pods = self.pods("--selector=batch.kubernetes.io/job-name")
        self.check_books(idle, _GPU, pods)
        self.check_books(idle, f"{_GPU}.A30", [pod for pod in pods if "a30" in pod["metadata"]["name"]])

    def scale(self) -> None:
        """Above hard, and back."""
        self.step(
            "More than allowed, then less",
            "12 replicas need 48 cores, and the team may use 40. Nothing refuses that yet, for admission is not built;",
            "the controller counts it and says who is over, and the parent gives what the team took too much.",
            "Then fewer: that gives quota back, but no hours.",
        )
        self.kubectl("scale", "deployment", "web", "--replicas=12")
        over = self.watch("48 of 40 cores are used", lambda bizrqs: used(bizrqs[_TEAM], "limits.cpu") == "48")[_TEAM]
        told = condition(over, "OverQuota")
        self.expect(told.get("status") == "True", "the condition OverQuota")
        self.kubectl("get", "bizrq", _TEAM, "-o", 'jsonpath={.status.conditions[?(@.type=="OverQuota")].status}')
        self.seen("the condition OverQuota is True")
        self.kubectl("scale", "deployment", "web", "--replicas=2")
        back = self.watch(
            "8 cores are used, and only these cost",
            lambda bizrqs: used(bizrqs[_TEAM], "limits.cpu") == "8" and rate(bizrqs[_TEAM], "limits.cpu") == "8",
        )[_TEAM]
        self.expect(condition(back, "OverQuota").get("status") == "False", "an end of OverQuota")
        self.expect(ledger(back, "limits.cpu") >= ledger(over, "limits.cpu"), "core-hours that were not given back")

    def kill_controller(self, operator: Operator) -> None:
        """A crash, and nothing is lost."""
        self.step(
            "A controller that is killed",
            "It is killed, and a third replica starts while nobody counts. A new controller counts anew from what the",
            "cluster shows, takes the books from the status of the bizrqs, and charges the time in between.",
        )
        self.say(f"$ kill -9 {operator.pid}", style="bold")
        operator.kill9()
        self.kubectl("scale", "deployment", "web", "--replicas=3")

        def ran_uncounted() -> bool:
            web, now = self.pods("--selector=app=web"), int(time.time())
            return sum(charged(pod, "limits.cpu", now) > 0 for pod in web) == 3 and all(  # noqa: PLR2004
                charged(pod, "limits.cpu", now) >= 4 * _UNCOUNTED_SECONDS for pod in web
            )

        self.wait(f"three pods have run for {_UNCOUNTED_SECONDS} seconds", ran_uncounted)
        before = self.bizrqs()[_TEAM]
        self.expect(used(before, "limits.cpu") == "8", "a status that nobody writes")
        self.seen(
            f"3 pods have run for {_UNCOUNTED_SECONDS} seconds, and the status still says 8 cores, "
            f"as at {before['status']['lastReconcileTime']}"
        )
        self.say(f"$ bizrq controller --resync-seconds={_RESYNC_SECONDS}", style="bold")
        operator = self.cluster.start_operator([f"--resync-seconds={_RESYNC_SECONDS}"], install=False)
        after = self.watch(
            f"12 cores are used, counted by the new controller (process {operator.pid})",
            lambda bizrqs: used(bizrqs[_TEAM], "limits.cpu") == "12" and rate(bizrqs[_TEAM], "limits.cpu") == "12",
        )[_TEAM]
        gap = instant(after["status"]["lastReconcileTime"]) - instant(before["status"]["lastReconcileTime"])
        self.check_books(after, "limits.cpu", self.pods())
        self.seen(f"so the {gap} seconds without a controller are charged too")

    # --- looking ---

    def watch(self, what: str, shown: Callable[[Bizrqs], bool]) -> Bizrqs:
        """Print ``kubectl get bizrq``, and each line of it that changes, until ``shown``; the bizrqs then."""
        self.command("get", "bizrq")
        self.say("          " + line(list(COLUMNS)))
        began, last = time.monotonic(), dict[str, str]()

        def look() -> Bizrqs | None:
            bizrqs = self.bizrqs()
            for row in cells(self._kubectl("get", "bizrq")):
                text = line([row.get(column, "") for column in COLUMNS])
                if last.get(row["NAME"]) != text:
                    last[row["NAME"]] = text
                    self.say(f"  +{time.monotonic() - began:4.1f} s  {text}")
            return bizrqs if shown(bizrqs) else None

        bizrqs = self.wait(what, look)
        self.seen(what)
        return bizrqs

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Call ``look`` until it gives something. Raises ShowError after a minute."""
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while not (found := look()):
            if time.monotonic() > deadline:
                raise ShowError(f"waited {_DEADLINE_SECONDS:.0f} s in vain for this: {what}")
            time.sleep(_POLL_SECONDS)
        return found

    def expect(self, shown: bool, what: str) -> None:  # noqa: FBT001  # reads as a sentence
        """Raise ShowError if it is not so."""
        if not shown:
            raise ShowError(f"expected {what}")

    def check_books(self, bizrq: Json, key: str, pods: Sequence[Json]) -> None:
        """Work out what the pods cost by their own timestamps, and compare with the books to the second [C5]."""
        until, cash = instant(bizrq["status"]["lastReconcileTime"]), bizrq["status"]["cash"]
        by_pods = sum(charged(pod, key, until) for pod in pods)
        gone = int(cash["settled"][key]) // 1000
        booked = int(cash["ledger"][key])
        unit = "core" if key == "limits.cpu" else "card"
        text = f"{key}: {by_pods} {unit}-seconds by the timestamps of {len(pods)} pods"
        if gone:
            text += f" and {gone} of pods that are gone"
        self.expect(booked == (by_pods + gone) * 1000, f"{text} in the books, not {booked / 1000}")
        self.seen(f"{text}, {booked // 1000} in the books: {used(bizrq, 'cash/' + key)} {unit}-hours")

    def bizrqs(self) -> Bizrqs:
        """All bizrqs, by name."""
        return {each["metadata"]["name"]: each for each in self._items("bizrq")}

    def pods(self, *selector: str) -> list[Json]:
        """The pods of the default namespace."""
        return self._items("pods", *selector)

    def _items(self, *what: str) -> list[Json]:
        items: list[Json] = json.loads(self._kubectl("get", *what, "--output=json"))["items"]
        return items

    def kubectl(self, *arguments: str) -> None:
        """Show a command and what it prints."""
        self.command(*arguments)
        self.say(self._kubectl(*arguments))

    def _kubectl(self, *arguments: str) -> str:
        return self.cluster.kubectl(*arguments)

    # --- telling ---

    def command(self, *arguments: str) -> None:
        """A command that is run now and can be typed by anybody."""
        self.say(f"$ kubectl {shlex.join(arguments)}", style="bold")

    def step(self, title: str, *lines: str) -> None:
        """Announce what is about to be seen."""
        self._step += 1
        self.console.print(f"\n{self._step}. {title}", style="bold cyan")
        self.say("\n".join(lines))

    def say(self, text: str, style: str | None = None) -> None:
        """Text as it is."""
        self.console.print(text.rstrip("\n"), markup=False, style=style)

    def seen(self, text: str) -> None:
        """Something that was checked."""
        self.say(f"  ok  {text}", style="green")

    def environment(self) -> str:
        """What one types to have this cluster's kubectl."""
        kubeconfig, kubectl = self.cluster.kubeconfig, Path(self.cluster.description["kubectl"])
        return f"export KUBECONFIG={shlex.quote(str(kubeconfig))} PATH={shlex.quote(str(kubectl.parent))}:$PATH"


if __name__ == "__main__":
    sys.exit(main())
