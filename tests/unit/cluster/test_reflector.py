"""[C5] a reflector that begins with a replay: what it asks the API server, in which order, and what its sink is told.

The server is a script: the answers of it, one after the other, are those that a real one gave.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from bizrq.cluster import reflector
from bizrq.cluster.errors import Gone, Unavailable
from bizrq.cluster.objects import Owned
from bizrq.cluster.reflector import Reflector
from tests.support.clocks import HandClock

URL = "/api/v1/pods"


def item(name, version):
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}}


def page(version, *items, more=""):
    """The answer to a list, or, without items, to a question how far the server is."""
    metadata = {"resourceVersion": str(version), **({"continue": more} if more else {})}
    return json.dumps({"metadata": metadata, "items": list(items)}).encode()


def added(name, version):
    return {"type": "ADDED", "object": item(name, version)}


def deleted(name, version):
    return {"type": "DELETED", "object": item(name, version)}


def bookmark(version):
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old resource version"}}


@dataclass
class Script:
    """A client whose server follows a script; at its end it is silent for ever."""

    answers: list[object]
    asked: list[str] = field(default_factory=list)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def _next(self, question):
        self.asked.append(question)
        return self.answers.pop(0) if self.answers else None

    async def get(self, url, *, params, accept="application/json"):  # noqa: ARG002  # as the client has it
        assert url == URL
        kind = "how far" if "fieldSelector" in params else "list"
        answer = self._next(f"{kind} {params['continue']}" if "continue" in params else kind)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, bytes), f"{self.asked[-1]}, and the script has {answer}"
        return answer

    async def watch(self, url, *, params, accept="application/json"):  # noqa: ARG002
        assert url == URL
        short = params["timeoutSeconds"] == str(reflector._REPLAY_SECONDS)
        answer = self._next(f"{'short ' if short else ''}watch from {params['resourceVersion']}")
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            self.finished.set()
            await asyncio.Event().wait()
        for event in answer:
            yield json.dumps(event).encode()


class Told:
    """A sink that notes what it is told."""

    def __init__(self):
        self.said = []

    def list_began(self):
        self.said.append("list began")

    def listed(self, item, at):  # noqa: ARG002  # as Sink has it
        self.said.append(f"listed {item.metadata.uid}")

    def list_ended(self, version, began):  # noqa: ARG002
        self.said.append(f"list ended {version}")

    def changed(self, item, at):  # noqa: ARG002
        self.said.append(f"changed {item.metadata.uid}")

    def deleted(self, item, at):  # noqa: ARG002
        self.said.append(f"deleted {item.metadata.uid}")

    def passed(self, version, at):  # noqa: ARG002
        self.said.append(f"passed {version}")

    def replay_began(self, version):
        self.said.append(f"replay began {version}")

    def replay_ended(self):
        self.said.append("replay ended")

    def replay_lost(self):
        self.said.append("replay lost")


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Failures are tried again without a wait."""
    monkeypatch.setattr(reflector, "_FIRST_WAIT", 0.0)


async def followed(*answers, after=20):
    """What was asked and told until the script was at its end; only then is the reflector synced."""
    script, told = Script(list(answers)), Told()
    follower = Reflector(script, URL, Owned, told, HandClock(), replay=lambda: after)  # type: ignore[arg-type]
    task = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(5):
            finished = asyncio.create_task(script.finished.wait())
            await asyncio.wait({task, finished}, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done(), task.exception()
        assert follower.synced.is_set()
    finally:
        task.cancel()
        finished.cancel()
        await asyncio.gather(task, finished, return_exceptions=True)
    return script.asked, told.said


async def test_events_first_then_a_list_then_events_up_to_it():
    """[C5] so nothing vanishes between the two."""
    asked, told = await followed(
        page(30), [added("a", 22), deleted("b", 25), bookmark(30)], page(40, item("a", 22)), [added("c", 40)]
    )
    assert asked == ["how far", "short watch from 20", "list", "short watch from 30", "watch from 40"]
    assert told == [
        "replay began 20", "changed a", "deleted b", "passed 30",
        "list began", "listed a", "list ended 40", "changed c", "replay ended",
    ]  # fmt: skip


async def test_a_bookmark_behind_the_list_is_as_good_as_an_event():
    """[C5] nothing else happened."""
    asked, told = await followed(page(30), [bookmark(30)], page(40), [bookmark(41)])
    assert asked[-1] == "watch from 41"
    assert told[-2:] == ["passed 41", "replay ended"]


async def test_an_event_before_the_list_is_not_the_end():
    """[C5] the watch goes on until it has passed the version of the list."""
    asked, told = await followed(
        page(30), [bookmark(30)], page(40), [added("a", 38), bookmark(39)], page(45), [deleted("a", 44)]
    )
    assert asked == [
        "how far", "short watch from 20", "list", "short watch from 30", "how far", "short watch from 39",
        "watch from 44",
    ]  # fmt: skip
    assert told[-3:] == ["passed 39", "deleted a", "replay ended"]


async def test_a_silent_watch_is_begun_again_after_a_question_how_far_the_server_is():
    """[C5] an idle server sends no bookmarks otherwise."""
    asked, _ = await followed(
        page(30), [added("a", 22)], page(30), [], page(30), [bookmark(30)], page(40), [bookmark(40)]
    )
    assert asked[:6] == [
        "how far", "short watch from 20", "how far", "short watch from 22", "how far", "short watch from 22",
    ]  # fmt: skip


@pytest.mark.parametrize("refused", [Gone("too old"), [EXPIRED]], ids=["to the request", "inside the stream"])
async def test_a_replay_that_the_server_cannot_give_is_lost_and_a_list_follows(refused):
    """[C6]."""
    asked, told = await followed(page(30), refused, page(40, item("a", 22)))
    assert asked == ["how far", "short watch from 20", "list", "watch from 40"]
    assert told == ["replay began 20", "replay lost", "list began", "listed a", "list ended 40"]


async def test_a_replay_that_is_lost_after_its_list_is_lost_all_the_same():
    """[C6] what the list proves gone went unseen."""
    _, told = await followed(page(30), [bookmark(30)], page(40), Gone("too old"), page(50))
    assert told[-3:] == ["replay lost", "list began", "list ended 50"]


async def test_a_version_that_the_server_is_not_at_yet_cannot_be_replayed_from():
    """[C5, C6] somebody edited it, or etcd was restored: such a watch would be silent for ever."""
    asked, told = await followed(page(19), page(40))
    assert asked == ["how far", "list", "watch from 40"]
    assert told == ["replay lost", "list began", "list ended 40"]


async def test_where_nothing_happened_since_the_replay_is_short():
    """[C5] the very version that the server is at."""
    _, told = await followed(page(20), [bookmark(20)], page(20), [bookmark(20)])
    assert told[-1] == "replay ended"


@pytest.mark.parametrize("broken", [1, 2, 3, 4])
async def test_a_failure_anywhere_in_a_replay_begins_it_anew(broken):
    """[C5] from the same version, and the sink forgets what it was told of it."""
    good = [page(30), [added("a", 22), bookmark(30)], page(40, item("a", 22)), [bookmark(40)]]
    asked, told = await followed(*good[: broken - 1], Unavailable("broken"), *good)
    assert asked[broken:] == ["how far", "short watch from 20", "list", "short watch from 30", "watch from 40"]
    assert told.count("replay began 20") == (1 if broken == 1 else 2)
    assert told[-8:] == [
        "replay began 20", "changed a", "passed 30",
        "list began", "listed a", "list ended 40", "passed 40", "replay ended",
    ]  # fmt: skip


async def test_what_cannot_be_read_in_a_replay_begins_it_anew():
    """[C5]."""
    good = [page(30), [bookmark(30)], page(40), [bookmark(40)]]
    _, told = await followed(page(30), [{"type": "ADDED", "object": {"metadata": 7}}], *good)
    assert told[-1] == "replay ended"
    assert told.count("replay began 20") == 2


async def test_after_the_first_sync_a_gap_is_a_list_and_no_replay():
    """[C6] the sink compares."""
    asked, told = await followed(page(30), [bookmark(30)], page(40), [bookmark(40)], Gone("too old"), page(50))
    assert asked[4:] == ["watch from 40", "list", "watch from 50"]
    assert told[-3:] == ["replay ended", "list began", "list ended 50"]


async def test_without_a_version_to_begin_at_there_is_only_a_list():
    """[C5] no status has books yet."""
    asked, told = await followed(page(40, item("a", 1), more="x"), page(40, item("b", 2)), after=None)
    assert asked == ["list", "list x", "watch from 40"]
    assert told == ["list began", "listed a", "listed b", "list ended 40"]
