"""Does the supervisor end what it started, and nothing else? With children that only sleep."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import bed, control, servers, statefolder
from testbed.errors import BedError, FolderForeign, FolderInUse, NotRunning, ProcessDied
from testbed.processes import Proc
from tests.support.kube import wait_until

SLEEP = ["sleep", "600"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo deaf; while true; do sleep 0.1; done"]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of a supervisor that this process owns."""
    folder = tmp_path / ("long" * 30) / "bed"
    control.start_supervisor(folder, os.getpid())
    yield folder
    bed.down(folder)


def supervisor(folder: Path) -> Proc:
    found = Proc.of(control.ask(folder, do="show")["supervisor"]["pid"])
    assert found
    return found


def started(folder: Path, name: str, argv: list[str]) -> Proc:
    found = Proc.of(servers.start(folder, name, argv).pid)
    assert found
    return found


def test_down_ends_all_and_again_is_fine(folder: Path) -> None:
    running = [supervisor(folder), started(folder, "one", SLEEP), started(folder, "two", SLEEP)]
    assert bed.down(folder)
    assert not any(proc.alive() for proc in running)
    assert not folder.exists()
    assert not bed.down(folder)


def test_the_last_started_is_ended_first(folder: Path) -> None:
    for name in ("etcd", "apiserver", "operator"):
        started(folder, name, SLEEP)
    bed.down(folder, keep_logs=True)
    log = (folder / "logs" / "supervisor.log").read_text()
    assert [line.split()[1] for line in log.splitlines() if line.startswith("stopped")] == [
        "operator",
        "apiserver",
        "etcd",
    ]
    assert [entry.name for entry in folder.iterdir()] == ["logs"]


def test_who_does_not_listen_is_killed_after_its_grace(folder: Path) -> None:
    server = servers.start(folder, "deaf", STUBBORN, grace=0.2)
    wait_until(lambda: server.log.read_text() == "deaf\n", "it is deaf")
    proc = Proc.of(server.pid)
    assert proc
    bed.down(folder)
    assert not proc.alive()


def test_children_die_with_a_killed_supervisor_and_down_cleans_up(folder: Path) -> None:
    child = started(folder, "one", STUBBORN)
    assert supervisor(folder).end(signal.SIGKILL, 10)
    wait_until(lambda: not child.alive(), "the child is gone")
    assert [row["alive"] for row in bed.status(folder)] == [False, False]
    assert bed.down(folder)
    assert not folder.exists()


def test_all_ends_with_the_owner(folder: Path) -> None:
    with subprocess.Popen(SLEEP) as owner:
        running = [supervisor(folder), started(folder, "one", SLEEP)]
        control.ask(folder, do="own", pid=owner.pid)
        owner.kill()
    wait_until(lambda: not any(proc.alive() for proc in running), "all is gone")
    assert {entry.name for entry in folder.iterdir()} == {"logs", "state.json"}
    assert json.loads((folder / "state.json").read_text())["stopped"] == "the owner ended"


def test_all_ends_with_a_starter_that_did_not_finish(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEP) as starter:
        control.start_supervisor(tmp_path / "bed", starter.pid)
        running = [supervisor(tmp_path / "bed"), started(tmp_path / "bed", "one", SLEEP)]
        starter.kill()
    wait_until(lambda: not any(proc.alive() for proc in running), "all is gone")


def test_an_unexpected_end_is_told(folder: Path) -> None:
    server = servers.start(folder, "one", ["sh", "-c", "echo why; exit 7"])
    with pytest.raises(ProcessDied, match=r"(?s)one ended \(7\) while waiting for godot.*why.*log: .*/logs/one\.log"):
        servers.wait(folder, "godot", lambda: False, "one")
    assert server.exit_code() == 7
    assert [row["note"] for row in bed.status(folder)] == ["", "ended with 7, unexpectedly"]


def test_a_wanted_end_is_not_unexpected(folder: Path) -> None:
    servers.start(folder, "killed", SLEEP).kill9()
    assert servers.start(folder, "ended", SLEEP).terminate() == -signal.SIGTERM
    assert [row["note"] for row in bed.status(folder)[1:]] == ["ended with -9", "ended with -15"]


def test_a_server_that_ended_is_started_again_with_its_command(folder: Path) -> None:
    server = servers.start(folder, "one", ["sh", "-c", "echo $WHO; sleep 600"], {"WHO": "it-is-me"})
    with pytest.raises(BedError, match="one runs already"):
        server.start_again()
    server.kill9()
    again = server.start_again()
    assert again.pid != server.pid
    wait_until(lambda: server.log.read_text() == "it-is-me\nit-is-me\n", "both have said who they are")
    assert again.exit_code() is None


def test_a_server_is_paused_and_goes_on(folder: Path) -> None:
    server = servers.start(folder, "one", SLEEP)

    def state() -> str:
        return Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0]

    server.pause()
    wait_until(lambda: state() == "T", "it is stopped")
    server.resume()
    wait_until(lambda: state() == "S", "it sleeps again")
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: server.exit_code() is not None, "it is gone")
    assert [row["note"] for row in bed.status(folder)[1:]] == ["ended with -9, unexpectedly"]


def test_a_server_sees_little_of_our_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "somebody's real cluster")
    server = servers.start(folder, "env", ["env"], {"MORE": "yes"})
    wait_until(lambda: server.exit_code() == 0, "env has ended")
    seen = dict(line.split("=", 1) for line in server.log.read_text().splitlines())
    assert seen["MORE"] == "yes"
    assert seen["HOME"] == str(folder / "home")
    assert "KUBECONFIG" not in seen


def test_a_program_that_is_not_there_is_an_answer(folder: Path) -> None:
    with pytest.raises(BedError, match=r"FileNotFoundError.*no-such-program"):
        servers.start(folder, "one", ["/no-such-program"])
    started(folder, "two", SLEEP)


def test_a_client_that_says_nothing_does_no_harm(folder: Path) -> None:
    with pytest.raises(BedError, match="no such request: nonsense"):
        control.ask(folder, do="nonsense")
    with pytest.raises(BedError, match="KeyError"):
        control.ask(folder, do="signal", name="nobody", number=9)
    assert supervisor(folder).alive()


def test_a_folder_has_one_test_bed(folder: Path) -> None:
    with pytest.raises(FolderInUse, match=r"runs on .* already: stop it"):
        control.start_supervisor(folder, os.getpid())
    assert supervisor(folder).alive()


def test_a_folder_is_private(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "logs").mkdir()
    with pytest.raises(FolderForeign, match=r"thesis\.tex"):
        statefolder.prepare(tmp_path)
    assert not bed.down(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"thesis.tex", "logs"}


def test_a_file_that_came_later_survives_down(folder: Path) -> None:
    (folder / "thesis.tex").write_text("years of work")
    bed.down(folder)
    assert [entry.name for entry in folder.iterdir()] == ["thesis.tex"]


def test_what_a_dead_test_bed_left_does_not_matter(folder: Path) -> None:
    supervisor(folder).end(signal.SIGKILL, 10)
    (folder / "etcd").mkdir()
    control.start_supervisor(folder, os.getpid())
    assert supervisor(folder).alive()
    assert not (folder / "etcd").exists()


def test_nobody_is_asked_where_nobody_is(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        control.ask(tmp_path / "nowhere", do="show")
    with pytest.raises(NotRunning):
        bed.status(tmp_path)
    with pytest.raises(NotRunning):
        bed.describe(tmp_path)


def test_a_process_id_that_somebody_else_has_now_is_not_hit() -> None:
    with subprocess.Popen(SLEEP) as other:
        real = Proc.of(other.pid)
        assert real
        earlier = Proc(other.pid, "an earlier boot/1")
        assert not earlier.alive()
        assert earlier.end(signal.SIGKILL, 0)
        assert real.alive()
        assert real.end(signal.SIGKILL, 10)
        assert not real.alive()


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        wait_until(lambda: Proc.of(child.pid) is None, "it is a zombie")
