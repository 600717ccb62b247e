"""The client and the child process against a real socket server that speaks the backend's HTTP."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stepsmith.addon import dance_task
from stepsmith.addon.backend_process import BackendProcess
from stepsmith.addon.client import CancelledError, Client, ClientError, Job, UnreachableError, song_hash
from stepsmith.addon.dance_task import (
    Backend,
    Connection,
    Dance,
    DancesTask,
    DanceTask,
    Request,
    Status,
    Task,
    wait_for,
)
from stepsmith.retarget.errors import StepsmithError
from stepsmith.retarget.files import load_motion, motion_to_bytes
from stepsmith.retarget.motion import Motion

FAKE = Path(__file__).with_name("fake_backend.py")
Start = Callable[..., Connection]


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "sông & dance.wav"
    path.write_bytes(os.urandom(700_000))
    return path


@pytest.fixture
def motion(still: Callable[..., Motion]) -> Motion:
    return still(frames=90)


@pytest.fixture
def start(tmp_path: Path, motion: Motion) -> Start:
    """A connection that starts the fake backend with these options."""
    (tmp_path / "motion.npz").write_bytes(motion_to_bytes(motion))

    def connection(*options: str) -> Connection:
        words = [sys.executable, str(FAKE), "--motion", str(tmp_path / "motion.npz"), *options]
        return Connection(command=shlex.join(words), data=tmp_path / "data")

    return connection


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    yield made
    made.close()


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process that is not our child to wait for ends in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_a_dance_comes_back_with_growing_progress(backend: Backend, start: Start, song: Path, motion: Motion) -> None:
    seen: list[Status] = []
    task = DanceTask(backend, start("--seconds", "1"), Request(song, genre="waltz", seed=7, start=1.5))
    dance = wait_for(task, seen.append)
    assert np.allclose(dance.motion.root, motion.root)
    assert dance.song == song
    assert dance.start == 1.5
    fractions = [status.fraction for status in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len({f for f in fractions if 0.1 < f < 0.95}) >= 2
    assert any(status.eta is not None and status.text == "Dancing" for status in seen)
    assert backend.genres == ("cha-cha", "rumba", "tango", "waltz", "polka")
    assert "9.8.7" in backend.state


def test_a_second_dance_uses_the_same_backend_and_the_same_upload(backend: Backend, start: Start, song: Path) -> None:
    connection = start("--seconds", "0")
    wait_for(DanceTask(backend, connection, Request(song)), lambda _: None)
    first = backend.pid
    client = backend.connect(connection)
    assert client._request("HEAD", f"/songs/{song_hash(song)}", accept=(200, 404))[0] == 200
    wait_for(DanceTask(backend, connection, Request(song)), lambda _: None)
    assert backend.pid == first


def test_the_dance_is_kept_as_a_file_with_its_song(backend: Backend, start: Start, song: Path, tmp_path: Path) -> None:
    kept = tmp_path / "last.npz"
    wait_for(DanceTask(backend, start("--seconds", "0"), Request(song, start=2.0), keep_as=kept), lambda _: None)
    meta = load_motion(kept).meta
    assert meta["song"] == str(song)
    assert meta["song_start"] == 2.0


def test_cancelling_ends_the_job_and_the_task(backend: Backend, start: Start, song: Path) -> None:
    connection = start("--seconds", "60")
    task = DanceTask(backend, connection, Request(song))
    while task.status.text != "Dancing":
        time.sleep(0.02)
    task.cancel()
    assert task.wait(5.0)
    assert task.status.cancelled
    assert task.status.error is None
    assert backend.connect(connection).job("job0").state == "cancelled"
    with pytest.raises(CancelledError):
        wait_for(task, lambda _: None)


def test_a_job_that_fails_says_why(backend: Backend, start: Start, song: Path) -> None:
    connection = start("--seconds", "0", "--fail", "The song is silent: choose another one.")
    with pytest.raises(StepsmithError, match=r"^The song is silent: choose another one.$"):
        wait_for(DanceTask(backend, connection, Request(song)), lambda _: None)


def test_a_refused_wish_says_why(backend: Backend, start: Start, song: Path) -> None:
    with pytest.raises(StepsmithError, match="There is no genre unheard"):
        wait_for(DanceTask(backend, start(), Request(song, genre="unheard")), lambda _: None)


def test_a_killed_backend_is_started_again_and_goes_on(
    backend: Backend, start: Start, song: Path, tmp_path: Path
) -> None:
    connection = start("--seconds", "2", "--die-after", "3", "--memory", str(tmp_path / "memory.json"))
    pids: set[int | None] = set()
    dance = wait_for(DanceTask(backend, connection, Request(song)), lambda _: pids.add(backend.pid))
    assert len(dance.motion) == 90
    assert len(pids - {None}) == 2
    assert backend.connect(connection).job("job0").state == "done"


def test_a_killed_backend_that_forgot_the_job_gets_it_again(backend: Backend, start: Start, song: Path) -> None:
    task = DanceTask(backend, start("--seconds", "2"), Request(song))
    while task.status.text != "Dancing":
        time.sleep(0.02)
    assert backend.pid is not None
    os.kill(backend.pid, signal.SIGKILL)
    assert len(wait_for(task, lambda _: None).motion) == 90


def test_what_an_earlier_blender_left_does_not_keep_the_next_waiting(
    backend: Backend, start: Start, song: Path, tmp_path: Path
) -> None:
    connection = start("--seconds", "2", "--memory", str(tmp_path / "memory.json"))
    task = DanceTask(backend, connection, Request(song))
    while task.status.text != "Dancing":
        time.sleep(0.02)
    backend.close()
    later = Backend()
    try:
        states = [job.state for job in later.connect(connection).jobs()]
    finally:
        later.close()
    assert states == ["cancelled"]


def test_a_backend_that_dies_twice_is_reported_with_its_last_words(
    backend: Backend, start: Start, song: Path, tmp_path: Path
) -> None:
    memory = str(tmp_path / "memory.json")
    connection = start("--seconds", "30", "--die-after", "2", "--die-again", "--memory", memory)
    with pytest.raises(StepsmithError, match=r"stopped twice.*Out of memory in the model"):
        wait_for(DanceTask(backend, connection, Request(song)), lambda _: None)


def test_another_api_version_is_named(backend: Backend, start: Start, song: Path) -> None:
    with pytest.raises(StepsmithError, match=r"9\.8\.7.*install the same version"):
        wait_for(DanceTask(backend, start("--api", "2"), Request(song)), lambda _: None)
    assert backend.pid is None


def test_a_missing_backend_says_how_to_install_it(backend: Backend, song: Path) -> None:
    with pytest.raises(StepsmithError, match=r"pip install.*preferences"):
        wait_for(DanceTask(backend, Connection("no-such-stepsmith"), Request(song)), lambda _: None)


def test_a_command_with_an_apostrophe_that_is_not_there_is_missing_too(backend: Backend, song: Path) -> None:
    with pytest.raises(StepsmithError, match=r"/home/o'brien/stepsmith.* was not found.*pip install.*preferences"):
        wait_for(DanceTask(backend, Connection("/home/o'brien/stepsmith"), Request(song)), lambda _: None)
    assert backend.state == "Not connected"


def test_a_backend_in_a_folder_with_an_apostrophe_starts(backend: Backend, start: Start, tmp_path: Path) -> None:
    script = tmp_path / "o'brien" / "stepsmith"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {start().command} "$@"\n')
    script.chmod(0o755)
    assert backend.connect(Connection(str(script))).health().version == "9.8.7"


def test_no_unforeseen_error_leaves_the_backend_starting(
    backend: Backend, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(BackendProcess, "start", fail)
    with pytest.raises(ZeroDivisionError):
        backend.connect(start())
    assert backend.state == "Not connected"


def test_another_program_is_not_taken_for_the_backend(backend: Backend, song: Path) -> None:
    with pytest.raises(StepsmithError, match="not Stepsmith's"):
        wait_for(DanceTask(backend, Connection("echo hello"), Request(song)), lambda _: None)


def test_a_backend_that_fails_to_start_is_quoted(backend: Backend, song: Path, tmp_path: Path) -> None:
    script = tmp_path / "with a space" / "stepsmith"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho 'The weights are damaged: install again.' >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(StepsmithError, match="did not start: The weights are damaged"):
        wait_for(DanceTask(backend, Connection(str(script)), Request(song)), lambda _: None)


def test_a_missing_song_is_named(backend: Backend, start: Start, tmp_path: Path) -> None:
    with pytest.raises(StepsmithError, match=r"gone\.wav can't be read"):
        wait_for(DanceTask(backend, start(), Request(tmp_path / "gone.wav")), lambda _: None)


def test_a_wrong_token_and_a_silent_port_are_told_apart(start: Start) -> None:
    process = BackendProcess.start(start().command, None)
    process.wait_until_ready()
    try:
        with pytest.raises(ClientError, match="token"):
            Client(process.url, "wrong").health()
        assert Client(process.url, process.token).health().version == "9.8.7"
    finally:
        process.stop()
    assert not process.alive
    with pytest.raises(UnreachableError):
        Client(process.url, process.token).health()


@pytest.mark.parametrize(
    ("status", "body"), [(404, b"File not found"), (403, b"{}"), (200, b"<html>"), (200, b'{"status": "ok"}')]
)
def test_a_server_that_is_another_is_told_apart(status: int, body: bytes) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(ClientError, match="no Stepsmith backend: check the address"):
            Client(f"http://127.0.0.1:{server.server_port}", "token").health()


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"duration": 0.0}, "between 1 s and 2 hours, not 0 s"),
        ({"duration": 0.5}, "between 1 s and 2 hours, not 0.5 s"),
        ({"duration": 7201.0}, "between 1 s and 2 hours"),
        ({"bpm": 5.0}, "between 30 and 300 beats a minute, not 5:"),
        ({"bpm": 301.0}, "between 30 and 300 beats a minute"),
        ({"meter": 1}, "between 2 and 12 beats, not 1:"),
    ],
)
def test_what_no_dance_can_be_is_said_before_a_backend_starts(wishes: dict[str, Any], reason: str) -> None:
    with pytest.raises(StepsmithError, match=reason):
        Request(Path("song.wav"), **wishes)


@pytest.mark.parametrize("url", ["", "ftp://here:1", "http://", "http://here:port"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(StepsmithError, match="http://name:port"):
        Client(url, "")


@pytest.mark.parametrize("token", ["geheim €", "two\nlines"])
def test_a_token_that_is_none_is_refused(token: str) -> None:
    with pytest.raises(StepsmithError, match="token"):
        Client("http://127.0.0.1:1", token)


def test_the_backend_ends_with_the_process_that_started_it(start: Start) -> None:
    command = start().command
    code = (
        "from stepsmith.addon.backend_process import BackendProcess\n"
        f"b = BackendProcess.start({command!r}, None); b.wait_until_ready(); print(b.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    pid = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
    assert gone(pid)


@pytest.mark.parametrize("end", [Backend.close, Backend.stop])
def test_ending_the_backend_while_it_starts_takes_no_time(
    backend: Backend, song: Path, end: Callable[[Backend], None]
) -> None:
    task = DanceTask(backend, Connection("sh -c 'sleep 60'"), Request(song))
    while backend.pid is None:
        time.sleep(0.01)
    before = time.monotonic()
    end(backend)
    assert time.monotonic() - before < 3.0
    assert task.wait(8.0)
    assert task.status.error is not None


def test_a_stopped_backend_is_started_anew(backend: Backend, start: Start) -> None:
    connection = start()
    backend.connect(connection)
    before = backend.pid
    backend.stop()
    assert backend.pid is None
    assert backend.state.startswith("Starts with")
    backend.connect(connection)
    assert backend.pid not in (None, before)


class Held(Task):
    """Has its dance as soon as it is released."""

    def __init__(self, backend: Backend, dance: Dance) -> None:
        self.release = threading.Event()
        self.dance = dance
        super().__init__(backend, Connection(), None)

    def _dance(self) -> Dance:
        assert self.release.wait(10.0)
        return self.dance

    def _ask(self, client: Client) -> Job:
        raise NotImplementedError

    def _made(self, motion: Motion) -> Dance:
        raise NotImplementedError


@pytest.mark.parametrize("several", [False, True])
def test_cancelling_at_the_very_end_loses_no_result(
    backend: Backend, song: Path, motion: Motion, monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    held = Held(backend, Dance(motion, song, 0.0))
    monkeypatch.setattr(dance_task, "DanceTask", lambda *_: held)
    work = DancesTask(backend, Connection(), [Request(song)]) if several else held

    def over_within(seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not work.status.over and time.monotonic() < until:
            time.sleep(0.01)
        return work.status.over

    def replace_late(status: Status, **changes: Any) -> Status:
        """``replace``, while the work ends where it is the work's own status."""
        if status is work.status:
            held.release.set()
            over_within(0.5)
        return replace(status, **changes)

    monkeypatch.setattr(dance_task, "replace", replace_late)
    time.sleep(0.1)  # so that several have begun the first
    work.cancel()
    assert held.wait(5.0)
    assert over_within(5.0)
    assert work.status.cancelled == several
    assert several or work.status.dance is not None


def test_song_hash_is_sha256(song: Path) -> None:
    assert song_hash(song) == hashlib.sha256(song.read_bytes()).hexdigest()
