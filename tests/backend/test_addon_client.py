"""The add-on's client and the real server understand each other."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bpy")

from stepsmith.addon.backend_process import BackendProcess
from stepsmith.addon.client import Client, VersionError
from stepsmith.addon.dance_task import Backend, Connection, DanceTask, Request, wait_for
from stepsmith.retarget.errors import StepsmithError

TOKEN = "a token of the tests, long enough"
SLOW, REFUSED = 1, 4  # seeds of work/pretended.py


def connection(server: Any, token: str = TOKEN) -> Connection:
    return Connection(url=str(server.client.base_url), token=token)


def test_a_dance_from_song_to_motion(start_server: Callable[..., Any], small_model: Path, song: Path) -> None:
    server = start_server(model=small_model, work="stepsmith.backend.jobs.work:KINDS")
    backend, seen = Backend(), []
    task = DanceTask(backend, connection(server), Request(song, "waltz", 3, 1.0, 4.0, 120.0))
    dance = wait_for(task, lambda status: seen.append(status.fraction))
    assert backend.genres == ("tango", "waltz")
    assert (len(dance.motion), dance.motion.meta["genre"], dance.motion.meta["seed"]) == (120, "waltz", 3)
    assert seen == sorted(seen)
    again = DanceTask(backend, connection(server), Request(song, "waltz", 3, 1.0, 4.0, 120.0))
    assert (wait_for(again, lambda status: None).motion.rotations == dance.motion.rotations).all()


def test_refusals_arrive_as_sentences(server: Any, song: Path) -> None:
    def ask(request: Request, token: str = TOKEN) -> None:
        wait_for(DanceTask(Backend(), connection(server, token), request), lambda status: None)

    with pytest.raises(StepsmithError, match="no genre “polka”"):
        ask(Request(song, genre="polka"))
    with pytest.raises(StepsmithError, match="choose another"):
        ask(Request(song, seed=REFUSED))
    with pytest.raises(StepsmithError, match="token"):
        ask(Request(song), token="wrong")


def test_cancelling_reaches_the_worker(server: Any, song: Path) -> None:
    task = DanceTask(Backend(), connection(server), Request(song, seed=SLOW))
    while task.status.text != "Going on":
        time.sleep(0.02)
    task.cancel()
    assert task.wait(5.0)
    assert task.status.cancelled
    (last,) = server.client.get("/jobs").json()[-1:]
    assert server.wait(last["id"])["state"] == "cancelled"


def test_another_version(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepsmith.addon.client.API_VERSION", 2)
    with pytest.raises(VersionError, match="same version"):
        Client(str(server.client.base_url), TOKEN).health()


def test_a_song_too_large_is_refused_in_words(start_server: Callable[..., Any], song: Path) -> None:
    server = start_server(largest_song=1000)
    with pytest.raises(StepsmithError, match="larger"):
        Client(str(server.client.base_url), TOKEN).upload(song, lambda share: None)


def test_started_and_ended_as_a_child(tmp_path: Path) -> None:
    process = BackendProcess.start(f"{sys.executable} -m stepsmith.backend.cli", tmp_path)
    process.wait_until_ready()
    assert Client(process.url, process.token).health().version
    process.stop()
    assert not process.alive
    assert process._process.returncode == 0, "it ended by itself"
