"""How is the tour shown: commands that anybody could type, what they print, and what was checked of it?"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console

from testbed.cluster import Cluster
from testbed.control import ROOT
from testbed.demo_read import COLUMNS, Json, cells, charged, instant, line, used
from testbed.errors import KubectlFailed
from testbed.identities import ADMIN

T = TypeVar("T")
Bizrqs = dict[str, Json]

_DEADLINE_SECONDS: Final = 60.0
"""Each step takes a few seconds; a busy machine may need many times that."""

_POLL_SECONDS: Final = 0.3


class ShowError(Exception):
    """A step does not show what it says; the message is for the person who watches."""


@dataclass
class Screen:
    """Runs commands on a cluster and tells what they show."""

    console: Console
    cluster: Cluster
    began: float = field(default_factory=time.monotonic)
    _step: int = 0

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

    def kubectl(self, *arguments: str) -> str:
        """Show a command and what it prints, warnings too. Raises KubectlFailed if it fails."""
        self.command(*arguments)
        return self._accepted(arguments)

    def apply_changed(self, example: str, old: str, new: str) -> str:
        """Show how an example is applied with one text in it replaced. Raises as ``kubectl``."""
        text = (ROOT / example).read_text(encoding="utf-8")
        self.say(f"$ sed 's/{old}/{new}/' {example} | kubectl apply -f -", style="bold")
        return self._accepted(("apply", "-f", "-"), stdin=text.replace(old, new))

    def refused(self, *arguments: str, says: str) -> None:
        """Show a command that is refused, and why. Raises ShowError if it is not, or says something else."""
        self.command(*arguments)
        done = self._run(arguments)
        self.say(done.stdout, style="yellow")
        self.expect(done.returncode != 0, "a refusal")
        self.expect(says in done.stdout, f"these words in the refusal: {says}")

    def _accepted(self, arguments: Sequence[str], stdin: str = "") -> str:
        done = self._run(arguments, stdin)
        self.say(done.stdout)
        if done.returncode:
            raise KubectlFailed(f"kubectl {shlex.join(arguments)}: exit code {done.returncode}")
        return done.stdout

    def _run(self, arguments: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Both of its outputs as one, in their order, as a terminal shows them."""
        kubectl = self.cluster.kubectl
        return subprocess.run(
            [kubectl.program, *arguments],
            env={**os.environ, "KUBECONFIG": str(kubectl.kubeconfigs[ADMIN]), "KUBECACHEDIR": str(kubectl.cache)},
            cwd=ROOT,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_DEADLINE_SECONDS,
        )

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
