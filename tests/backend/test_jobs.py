"""Jobs in a real server with a real worker process: done, stopped, crashed, resumed."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stepsmith.backend.jobs import Job, Jobs, queue
from stepsmith.backend.jobs.store import Store, StoreError
from stepsmith.backend.settings import Settings
from stepsmith.retarget.files import motion_from_bytes

_spec = importlib.util.spec_from_file_location("pretended", Path(__file__).parent / "work" / "pretended.py")
assert _spec is not None
assert _spec.loader is not None
work = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(work)


SONG = "0" * 64


def with_song(folder: Path) -> tuple[Store, Settings]:
    """A store that holds SONG, for jobs of the pretended kinds."""
    settings = Settings("", data=folder, work="pretended:KINDS")
    store = Store(settings)
    upload = store.unfinished_song()
    upload.write_bytes(b"la")
    store.keep_song(upload, SONG, "la.wav")
    return store, settings


def dance(server: Any, job_id: str) -> Any:
    return motion_from_bytes(server.client.get(f"/jobs/{job_id}/motion").raise_for_status().content)


def gone(process: int) -> bool:
    """Whether a process has ended; one that only waits to be noticed counts."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_job_gives_a_motion(server: Any) -> None:
    job_id = server.submit(work.QUICK)
    job = server.wait(job_id)
    assert (job["state"], job["progress"], job["error"], job["eta"]) == ("done", 1.0, None, None)
    assert len(dance(server, job_id)) == 30


def test_one_worker_does_all_jobs(server: Any) -> None:
    jobs = [server.submit(work.QUICK) for _ in range(3)]
    for job_id in jobs:
        server.wait(job_id)
    assert len({dance(server, job_id).meta["pid"] for job_id in jobs}) == 1
    listed = [job["id"] for job in server.client.get("/jobs").json()]
    assert [job_id for job_id in listed if job_id in jobs] == jobs


def test_what_libraries_print_is_not_taken_for_an_answer(server: Any) -> None:
    assert server.wait(server.submit(work.NOISY))["state"] == "done"


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [
        (work.REFUSED, "This song can't be danced to: choose another."),
        (work.BROKEN, "ZeroDivisionError: three by nothing"),
        (work.NO_MEMORY, "not enough memory"),
        (work.NO_ROOM, "disk of the backend's data folder is full"),
        (work.NO_ROOM_TO_SAVE, "disk of the backend's data folder is full"),
    ],
)
def test_a_failure_is_one_sentence_and_harms_no_other_job(server: Any, seed: int, sentence: str) -> None:
    failing, following = server.submit(seed), server.submit(work.QUICK)
    job = server.wait(failing)
    assert job["state"] == "failed"
    assert sentence in job["error"]
    answer = server.client.get(f"/jobs/{failing}/motion")
    assert answer.status_code == 404
    assert answer.json()["error"] == job["error"]
    assert server.wait(following)["state"] == "done"


def test_a_worker_killed_once_is_started_again(server: Any) -> None:
    job_id = server.submit(work.KILLED_ONCE)
    assert server.wait(job_id)["state"] == "done"
    assert len(dance(server, job_id)) == 30


def test_a_job_that_kills_its_worker_twice_fails_alone(server: Any) -> None:
    killing, following = server.submit(work.KILLED), server.submit(work.QUICK)
    job = server.wait(killing)
    assert job["state"] == "failed"
    assert "memory" in job["error"]
    assert server.wait(following)["state"] == "done"


def test_a_worker_killed_from_outside_in_mid_job(start_server: Callable[..., Any]) -> None:
    server = start_server()
    job_id = server.submit(work.SLOW)
    server.wait(job_id, "running")
    assert eventually(lambda: server.job(job_id)["text"] == "Going on")
    os.kill(server.worker(), signal.SIGKILL)
    assert eventually(lambda: "crash" in server.job(job_id)["text"] or server.job(job_id)["progress"] > 0)
    server.gate.touch()
    assert server.wait(job_id)["state"] == "done"


def test_progress_grows_and_is_streamed(start_server: Callable[..., Any]) -> None:
    server = start_server()
    job_id = server.submit(work.SLOW)
    seen = []
    with server.client.stream("GET", f"/jobs/{job_id}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
                if len(seen) == 12:
                    server.gate.touch()
    assert seen[-1]["state"] == "done"
    running = [job["progress"] for job in seen if job["state"] == "running"]
    assert running == sorted(running)
    assert len(set(running)) > 5
    assert any(job["eta"] for job in seen if job["state"] == "running")


def test_cancel_while_it_runs_and_while_it_waits(start_server: Callable[..., Any]) -> None:
    server = start_server()
    running, waiting = server.submit(work.SLOW), server.submit(work.QUICK)
    assert eventually(lambda: server.job(running)["text"] == "Going on")
    worker = server.worker()
    assert server.client.delete(f"/jobs/{waiting}").json()["state"] == "cancelled"
    assert server.client.delete(f"/jobs/{running}").status_code == 200
    assert server.wait(running, seconds=3)["state"] == "cancelled"
    assert server.client.get(f"/jobs/{running}/motion").status_code == 404
    following = server.submit(work.QUICK)
    assert server.wait(following)["state"] == "done"
    assert dance(server, following).meta["pid"] == worker, "a cancelled job costs no worker"
    assert server.job(waiting)["state"] == "cancelled"


def test_cancel_at_once(server: Any) -> None:
    for _ in range(5):
        job_id = server.submit(work.SLOW)
        server.client.delete(f"/jobs/{job_id}")
        assert server.wait(job_id, seconds=10)["state"] == "cancelled"
    assert server.wait(server.submit(work.QUICK))["state"] == "done"


def test_a_worker_deaf_to_cancelling_is_killed(start_server: Callable[..., Any]) -> None:
    server = start_server()
    deaf, following = server.submit(work.DEAF), server.submit(work.QUICK)
    assert eventually(lambda: server.job(deaf)["text"] == "Beginning")
    server.client.delete(f"/jobs/{deaf}")
    assert server.wait(deaf, seconds=15)["state"] == "cancelled"
    assert server.wait(following)["state"] == "done"


def test_cancelling_what_is_over_changes_nothing(server: Any) -> None:
    job_id = server.submit(work.QUICK)
    server.wait(job_id)
    assert server.client.delete(f"/jobs/{job_id}").json()["state"] == "done"
    assert len(dance(server, job_id)) == 30


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_jobs_survive_a_restart(start_server: Callable[..., Any], end: signal.Signals) -> None:
    server = start_server()
    finished = server.submit(work.QUICK)
    server.wait(finished)
    running, waiting = server.submit(work.SLOW), server.submit(work.QUICK)
    assert eventually(lambda: server.job(running)["text"] == "Going on")
    worker = server.worker()
    server.stop(end)
    assert eventually(lambda: gone(worker)), "the worker outlived its server"
    server.start()
    assert server.job(finished)["state"] == "done"
    assert len(dance(server, finished)) == 30
    server.wait(running, "running")
    server.gate.touch()
    assert server.wait(running)["state"] == "done"
    assert server.wait(waiting)["state"] == "done"


def test_a_cancelled_job_does_not_come_back(start_server: Callable[..., Any]) -> None:
    server = start_server()
    job_id = server.submit(work.DEAF)
    assert eventually(lambda: server.job(job_id)["text"] == "Beginning")
    server.client.delete(f"/jobs/{job_id}")
    server.stop()
    server.start()
    assert server.job(job_id)["state"] == "cancelled"


def test_a_listener_does_not_hold_the_server_up(start_server: Callable[..., Any]) -> None:
    server = start_server()
    job_id = server.submit(work.SLOW)
    with server.client.stream("GET", f"/jobs/{job_id}/events") as stream:
        next(stream.iter_lines())
        began = time.monotonic()
        server.process.terminate()
        server.process.wait(timeout=20)
        assert time.monotonic() - began < 4.0


def test_out_of_memory_takes_the_worker_first(server: Any) -> None:
    server.wait(server.submit(work.QUICK))
    assert int(Path(f"/proc/{server.worker()}/oom_score_adj").read_text()) > 0


def test_a_worker_that_cannot_start_fails_the_job_alone(start_server: Callable[..., Any]) -> None:
    server = start_server(work="nothing.of.the.kind:KINDS")
    job = server.wait(server.submit(work.QUICK))
    assert job["state"] == "failed"
    assert "worker" in job["error"]
    assert server.client.get("/health").status_code == 200


def test_ending_in_order_is_not_held_against_a_job(start_server: Callable[..., Any]) -> None:
    server = start_server()
    job_id = server.submit(work.SLOW)
    for _ in range(3):
        assert eventually(lambda: server.job(job_id)["text"] == "Going on")
        server.stop()
        server.start()
    server.gate.touch()
    assert server.wait(job_id)["state"] == "done"


def test_two_servers_on_one_folder_keep_apart(start_server: Callable[..., Any]) -> None:
    first, second = start_server(), start_server()
    job_id = first.submit(work.SLOW)
    assert second.client.get(f"/jobs/{job_id}").status_code == 404
    assert second.wait(second.submit(work.QUICK))["state"] == "done"
    assert first.wait(job_id, "running")["state"] == "running"


def test_old_dances_make_room(start_server: Callable[..., Any]) -> None:
    server = start_server(jobs_kept=2)
    jobs = [server.submit(work.QUICK) for _ in range(4)]
    server.wait(jobs[-1])
    assert eventually(lambda: len(server.client.get("/jobs").json()) == 2)
    assert [job["id"] for job in server.client.get("/jobs").json()] == jobs[2:]
    assert server.client.get(f"/jobs/{jobs[0]}/motion").status_code == 404
    assert {file.stem for file in (Path(server.given["data"]) / "dances").iterdir()} == set(jobs[2:])


def test_the_dances_of_a_night_are_there_in_the_morning(tmp_path: Path) -> None:
    store, _ = with_song(tmp_path)
    jobs = [store.change(store.add("dance", SONG, {"seed": seed}), state="done") for seed in range(500)]
    store.prune()
    assert all(store.job(job.id) == job for job in jobs)


def test_a_disk_that_fills_up_in_mid_job_loses_no_dance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "work"))
    settings = Settings("", data=tmp_path, work="pretended:KINDS")
    store = Store(settings)
    upload = store.unfinished_song()
    upload.write_bytes(b"la")
    store.keep_song(upload, "0" * 64, "la.wav")
    change = store.change

    def full(job: Job, **values: Any) -> Job:
        if values.get("state") == "done":
            raise StoreError("The disk is full: free some room.")
        return change(job, **values)

    monkeypatch.setattr(store, "change", full)

    async def follow() -> list[Job]:
        jobs = Jobs(store, settings)
        jobs.start()
        first, second = (jobs.submit("dance", "0" * 64, {"seed": work.QUICK}) for _ in range(2))
        last = [[job async for job in jobs.changes(each.id)][-1] for each in (first, second)]
        await jobs.stop()
        return last

    assert [job.state for job in asyncio.run(follow())] == ["done", "done"]
    assert len(list((tmp_path / "dances").iterdir())) == 2


def test_a_job_cancelled_while_the_disk_is_full_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "work"))
    monkeypatch.setattr(queue, "_AGAIN", 0.1)
    store, settings = with_song(tmp_path)
    jobs = Jobs(store, settings)
    cancelled, other = (jobs.submit("dance", SONG, {"seed": work.QUICK}) for _ in range(2))
    full = True
    change = store.change

    def refusing(job: Job, **values: Any) -> Job:
        if full:
            raise StoreError("The disk is full: free some room.")
        return change(job, **values)

    monkeypatch.setattr(store, "change", refusing)

    async def follow() -> None:
        nonlocal full
        await jobs.cancel(cancelled.id)
        jobs.start()
        await asyncio.sleep(0.3)
        assert store.next() == cancelled, "nothing is done while the disk is full"
        full = False
        assert [job async for job in jobs.changes(other.id)][-1].state == "done"
        await jobs.stop()

    asyncio.run(follow())
    kept = store.job(cancelled.id)
    assert kept is not None
    assert (kept.state, kept.text, kept.tries) == ("cancelled", "Cancelled", 0)
    assert [file.stem for file in (tmp_path / "dances").iterdir()] == [other.id]


def test_no_job_is_given_to_a_worker_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "work"))
    monkeypatch.setattr(queue, "_PATIENCE", 0.2)
    store, settings = with_song(tmp_path)

    async def follow() -> list[int]:
        jobs = Jobs(store, settings)
        jobs.start()
        tries = []
        for _ in range(4):
            deaf, following = (jobs.submit("dance", SONG, {"seed": seed}) for seed in (work.DEAF, work.QUICK))
            async for job in jobs.changes(deaf.id):
                if job.text == "Beginning":
                    await jobs.cancel(deaf.id)
            tries.append([job async for job in jobs.changes(following.id)][-1].tries)
        await jobs.stop()
        return tries

    assert asyncio.run(follow()) == [1, 1, 1, 1]


def test_a_song_just_sent_stays_whatever_comes_after_it(tmp_path: Path) -> None:
    store = Store(Settings("", data=tmp_path, songs_kept=250))
    for number, size in enumerate((300, 10)):
        upload = store.unfinished_song()
        upload.write_bytes(bytes(size))
        store.keep_song(upload, f"{number:064}", "song.mp3")
    assert store.song(f"{0:064}") is not None


def test_songs_long_unused_make_room(tmp_path: Path) -> None:
    store = Store(Settings("", data=tmp_path, songs_kept=250))
    for number in range(4):
        upload = store.unfinished_song()
        upload.write_bytes(bytes(100))
        store.keep_song(upload, f"{number:064}", "song.mp3")
        if number == 0:
            store.add("dance", f"{number:064}", {})
        os.utime(tmp_path / "songs" / f"{number:064}", (number, number))
    kept = [number for number in range(4) if store.song(f"{number:064}") is not None]
    assert kept == [0, 2, 3], "the newest, and the one a job still needs"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("my song.mp3", "my song.mp3"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("", "song"),
        ("...", "song"),
        (".mp3", "mp3"),
        ("a\x00b\n.ogg", "a_b_.ogg"),
        ("Ελλάδα.flac", "Ελλάδα.flac"),
        ("x" * 300 + ".wav", "x" * 120 + ".wav"),
        ("ü" * 300 + "." + "x" * 300, "ü" * 60),
        ("歌" * 300 + ".mp3", "歌" * 40 + ".mp3"),
    ],
)
def test_songs_keep_their_names_safely(tmp_path: Path, name: str, kept: str) -> None:
    store = Store(Settings("", data=tmp_path))
    upload = store.unfinished_song()
    upload.write_bytes(b"la")
    store.keep_song(upload, "0" * 64, name)
    file = store.song("0" * 64)
    assert file is not None
    assert (file.name, file.parent.parent) == (kept, tmp_path / "songs")


def test_a_damaged_database_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"no database at all, but long enough to look like one" * 100)
    store = Store(Settings("", data=tmp_path))
    assert store.jobs() == []
    job = store.add("dance", "0" * 64, {"seed": 1})
    assert store.job(job.id) == job
    assert list(tmp_path.glob("jobs.damaged-*"))


def test_a_data_folder_that_is_a_file_is_said_clearly(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't be used"):
        Store(Settings("", data=tmp_path / "file"))


def test_a_full_disk_is_said_clearly(tmp_path: Path) -> None:
    store = Store(Settings("", data=tmp_path))
    store._database.execute("PRAGMA max_page_count = 4")

    def fill() -> None:
        for _ in range(1000):
            store.add("dance", "0" * 64, {"genre": "x" * 500})

    with pytest.raises(StoreError, match="full"):
        fill()
    assert store.jobs(), "what was kept before can still be read"
