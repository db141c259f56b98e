"""How does one see in a minute what bizrq does? ``make demo``, which runs ``python -m testbed.demo``.

A tour on a real control plane. Every step says what is about to be seen, runs the commands that anybody could type,
shows ``kubectl get bizrq`` as it changes, and checks that it shows what was said. Exit code 0 if all of it did, 1 if
something did not, 130 after Ctrl-C. Nothing is left running, unless the variable KEEP is set.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from testbed import control
from testbed.cluster import Cluster
from testbed.demo_read import charged, condition, instant, ledger, rate, used
from testbed.demo_show import Bizrqs, Screen, ShowError
from testbed.errors import BedError
from testbed.operator_process import Operator
from testbed.prerequisites import check_machine

_NODES: Final = 4
_RESYNC_SECONDS: Final = 3
"""A status is written at least that often here, so that one sees hours grow; the default is 5 minutes."""

_UNCOUNTED_SECONDS: Final = 4
_TEAM: Final = "team-vision"
_GPU: Final = "requests.nvidia.com/gpu"


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
class Tour(Screen):
    """The steps, in order."""

    def run(self) -> None:
        """All steps. Raises ShowError, BedError."""
        self.start_control_plane()
        operator = self.start_bizrq()
        self.make_tree()
        self.deploy()
        self.deploy_too_much()
        self.scale()
        self.ask_too_much_for_a_child()
        self.run_jobs()
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

    def start_bizrq(self) -> Operator:
        """The thing itself."""
        arguments = [f"--resync-seconds={_RESYNC_SECONDS}"]
        self.step(
            "bizrq",
            "Its CRD and its rights are installed, then its two parts are started as processes of this machine. The",
            "controller counts. The webhook is asked by the API server before a workload or a group is stored; there",
            "are two of it, and they need not know of each other.",
            f"  bizrq controller {shlex.join(arguments)}",
            "  bizrq webhook --cert-file=... --key-file=... --path-token-file=...",
        )
        operator = self.cluster.start_operator(arguments)
        self.seen(f"the controller is ready (process {operator.pid})")
        webhooks = self.cluster.start_webhooks(install=False)
        webhooks.install()
        self.kubectl("get", "crd,validatingwebhookconfigurations", "-o", "name")
        pids = " and ".join(str(each.pid) for each in webhooks.replicas)
        self.seen(f"the API server asks the webhooks (processes {pids})")
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
        """A whole workload, with a model of CPU, and its core-hours."""
        self.step(
            "A Deployment of 4 replicas, 4 cores each",
            "It counts whole, 16 cores, by the label on the Deployment. Its second label says that it runs on CPUs of",
            "model A4, so the same cores count on the key limits.cpu.A4 too. And each pod costs core-hours from the",
            "second in which it got its node, together 16 an hour. See the column CASH-CPU:",
        )
        self.kubectl("apply", "-f", "examples/02-deployment.yaml")
        ticks: list[int] = []

        def ticked(bizrqs: Bizrqs) -> bool:
            team = bizrqs[_TEAM]
            if used(team, "limits.cpu") == "16" and rate(team, "limits.cpu") == "16":
                now = ledger(team, "limits.cpu")
                if now not in ticks:
                    ticks.append(now)
            return len(ticks) > 2  # noqa: PLR2004  # two ticks after the first look

        team = self.watch("16 cores are used, and they cost core-hours", ticked)[_TEAM]
        self.expect(used(team, "limits.cpu.A4") == "16", "16 cores on limits.cpu.A4")
        self.kubectl("get", "bizrq", _TEAM, "-o", "jsonpath={.status.used}")

    def deploy_too_much(self) -> None:
        """A refusal, and what fits."""
        self.step(
            "A Deployment that does not fit",
            "12 replicas of 4 cores are 48, and the team has 24 of its 40 left. It is refused whole, before a pod of",
            "it exists, and the last words of the message say what would fit.",
        )
        self.refused(
            "apply", "-f", "examples/04-too-large.yaml",
            says=f"exceeded quota: {_TEAM}, requested: limits.cpu=48, used: limits.cpu=16, limited: limits.cpu=40; "
            "the largest replica count that fits is 6",
        )  # fmt: skip
        self.expect("api" not in self._kubectl("get", "deployments", "--output=name"), "no Deployment api")
        self.seen("it is refused, and nothing of it exists")
        warned = self.apply_changed("examples/04-too-large.yaml", "replicas: 12", "replicas: 6")
        self.expect(f"quota {_TEAM}: 100 % of limits.cpu is used (40 of 40)" in warned, "a warning that all is used")
        self.watch("6 replicas fit to the last core", lambda bizrqs: used(bizrqs[_TEAM], "limits.cpu") == "40")
        self.kubectl("delete", "deployment", "api")

    def scale(self) -> None:
        """Up to what is allowed, and down."""
        self.step(
            "More replicas, then fewer",
            "Scaling up is asked for too. 8 replicas are 32 cores, which the team has, but only 20 of model A4.",
            "Fewer replicas are never refused; that gives quota back, but no hours.",
        )
        self.wait("the cores of api are back", lambda: used(self.bizrqs()[_TEAM], "limits.cpu") == "16")
        self.refused(
            "scale", "deployment", "web", "--replicas=8",
            says=f"exceeded quota: {_TEAM}, requested: limits.cpu.A4=16, used: limits.cpu.A4=16, limited: "
            "limits.cpu.A4=20; the largest replica count that fits is 5",
        )  # fmt: skip
        self.seen("it is refused, and web has 4 replicas as before")
        self.kubectl("scale", "deployment", "web", "--replicas=5")
        more = self.watch("20 cores are used", lambda bizrqs: used(bizrqs[_TEAM], "limits.cpu") == "20")[_TEAM]
        self.kubectl("scale", "deployment", "web", "--replicas=2")
        back = self.watch(
            "8 cores are used, and only these cost",
            lambda bizrqs: used(bizrqs[_TEAM], "limits.cpu") == "8" and rate(bizrqs[_TEAM], "limits.cpu") == "8",
        )[_TEAM]
        self.expect(ledger(back, "limits.cpu") >= ledger(more, "limits.cpu"), "core-hours that were not given back")

    def ask_too_much_for_a_child(self) -> None:
        """Groups ask their parents, and do not go while they are in use."""
        self.step(
            "A second team, and a group that cannot go",
            "dept-ai has 120 cores and gave 40 to team-vision. A team that asks for 100 is refused; 80 are left.",
        )
        self.refused(
            "apply", "-f", "examples/05-too-large-child.yaml",
            says="exceeded quota: dept-ai, requested: limits.cpu=100, used: limits.cpu=40, limited: limits.cpu=120; "
            "a child's quota is taken from its parent's: dept-ai has limits.cpu=80 left to grant",
        )  # fmt: skip
        self.apply_changed("examples/05-too-large-child.yaml", 'limits.cpu: "100"', 'limits.cpu: "80"')
        self.watch(
            "dept-ai has given away all of its cores", lambda bizrqs: used(bizrqs["dept-ai"], "limits.cpu") == "120"
        )
        self.say("A group that is not in use can be deleted, and its parent gets back what it gave. Others cannot:")
        self.kubectl("delete", "bizrq", "team-audio")
        self.wait("dept-ai has its cores back", lambda: used(self.bizrqs()["dept-ai"], "limits.cpu") == "40")
        self.seen("dept-ai has 80 cores to give again")
        self.refused(
            "delete", "bizrq", _TEAM,
            says=f"workloads still demand something under {_TEAM}: deployments.apps/default/web",
        )  # fmt: skip
        self.refused("delete", "bizrq", "dept-ai", says="dept-ai has children, and only leaves can be deleted")

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

    def kill_controller(self, operator: Operator) -> None:
        """A crash, and nothing is lost."""
        self.step(
            "A controller that is killed",
            "It is killed. The webhooks go on without it: a third replica is granted, and the claim that they write",
            "into the status of the group keeps the quota. But nobody counts hours. A new controller takes the books",
            "from the status, sees the replica, closes the claim, and charges the time in between.",
        )
        self.say(f"$ kill -9 {operator.pid}", style="bold")
        operator.kill9()
        before = self.bizrqs()[_TEAM]
        self.kubectl("scale", "deployment", "web", "--replicas=3")
        self.kubectl("get", "bizrq", _TEAM, "-o", "jsonpath={.status.claims[0]}")

        def ran_uncounted() -> bool:
            web, now = self.pods("--selector=app=web"), int(time.time())
            return sum(charged(pod, "limits.cpu", now) > 0 for pod in web) == 3 and all(  # noqa: PLR2004
                charged(pod, "limits.cpu", now) >= 4 * _UNCOUNTED_SECONDS for pod in web
            )

        self.wait(f"three pods have run for {_UNCOUNTED_SECONDS} seconds", ran_uncounted)
        alone = self.bizrqs()[_TEAM]
        self.expect(used(alone, "limits.cpu") == "12", "12 cores claimed without a controller")
        self.expect(ledger(alone, "limits.cpu") == ledger(before, "limits.cpu"), "books that nobody writes")
        self.seen(
            f"12 cores are used; 3 pods have run for {_UNCOUNTED_SECONDS} seconds, and the books are those of "
            f"{alone['status']['lastReconcileTime']}"
        )
        self.say(f"$ bizrq controller --resync-seconds={_RESYNC_SECONDS}", style="bold")
        operator = self.cluster.start_operator([f"--resync-seconds={_RESYNC_SECONDS}"], install=False)
        after = self.watch(
            f"the claim is closed by the new controller (process {operator.pid}): the Deployment itself says 12 cores",
            lambda bizrqs: (
                "claims" not in bizrqs[_TEAM]["status"]
                and used(bizrqs[_TEAM], "limits.cpu") == "12"
                and rate(bizrqs[_TEAM], "limits.cpu") == "12"
            ),
        )[_TEAM]
        gap = instant(after["status"]["lastReconcileTime"]) - instant(alone["status"]["lastReconcileTime"])
        self.check_books(after, "limits.cpu", self.pods())
        self.seen(f"so the {gap} seconds without a controller are charged too")


if __name__ == "__main__":
    sys.exit(main())
