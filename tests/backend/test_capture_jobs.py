"""Videos captured by a real server with a real worker: sent or read where they are, followed, cancelled, resumed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from stepsmith.backend.settings import Settings
from stepsmith.retarget.files import motion_from_bytes


@pytest.fixture
def filming(start_server: Callable[..., Any]) -> Any:
    return start_server(work="filmed:KINDS")


def make_video(path: Path) -> Path:
    """A second of grey without sound."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(25):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 99, np.uint8))))
        file.mux(stream.encode(None))
    return path


def ask(server: Any, **wishes: Any) -> Any:
    return server.client.post("/jobs", json={"kind": "capture", **wishes})


def test_a_video_on_this_machine_is_captured_where_it_is(filming: Any, tmp_path: Path) -> None:
    video = make_video(tmp_path / "dancer.mp4")
    job = filming.wait(ask(filming, file=str(video), person=2).json()["id"])
    assert job["state"] == "done", job
    motion = motion_from_bytes(filming.client.get(f"/jobs/{job['id']}/motion").content)
    # The second part begins at its own time.
    assert motion.duration == pytest.approx(3.5)
    assert motion.meta["parts"] == [[0.5, 1.5], [3.0, 4.0]]
    assert motion.meta["problems"] == [{"kind": "nobody", "start": 1.5, "end": 3.0, "text": "Nobody is seen of 2."}]
    assert (motion.meta["size"], motion.meta["duration"]) == ([640, 480], 4.0)
    assert not list((tmp_path / "data" / "songs").iterdir())


def test_a_video_that_was_sent_is_captured(filming: Any, tmp_path: Path) -> None:
    sha256 = filming.send(make_video(tmp_path / "near.mp4").read_bytes(), "far.mp4")
    job = filming.wait(ask(filming, video=sha256).json()["id"])
    motion = motion_from_bytes(filming.client.get(f"/jobs/{job['id']}/motion").content)
    assert (motion.meta["video"], motion.meta.get("song")) == ("far.mp4", None)


def test_ten_minutes_in_4k_may_be_sent() -> None:
    """As a phone records them, at 50 Mbit/s."""
    assert Settings(token="of a test").largest_song >= 600 * 50e6 / 8


def test_a_part_of_a_video_is_captured(filming: Any, tmp_path: Path) -> None:
    video = make_video(tmp_path / "dancer.mp4")
    job = filming.wait(ask(filming, file=str(video), start=0.25, duration=2.0).json()["id"])
    motion = motion_from_bytes(filming.client.get(f"/jobs/{job['id']}/motion").content)
    assert motion.meta["start"] == 0.25


def test_a_capture_is_cancelled(filming: Any, tmp_path: Path) -> None:
    video = make_video(tmp_path / "slow.mp4")
    job = ask(filming, file=str(video)).json()["id"]
    filming.wait(job, "running")
    filming.client.delete(f"/jobs/{job}").raise_for_status()
    assert filming.wait(job)["state"] == "cancelled"
    assert filming.client.get(f"/jobs/{job}/motion").status_code == 404


def test_a_capture_goes_on_after_a_restart(filming: Any, tmp_path: Path) -> None:
    video = make_video(tmp_path / "slow.mp4")
    job = ask(filming, file=str(video)).json()["id"]
    filming.wait(job, "running")
    filming.stop(signal.SIGTERM)
    filming.gate.touch()
    filming.start()
    assert filming.wait(job)["state"] == "done"


@pytest.mark.parametrize(
    ("wishes", "status", "words"),
    [
        ({}, 422, "name one video"),
        ({"file": "/no/such/video.mp4"}, 404, "no video"),
        ({"file": "relative.mp4"}, 404, "no video"),
        ({"file": "/" + "long" * 100 + ".mp4"}, 404, "no video"),
        ({"video": "0" * 64}, 404, "has not been sent"),
        ({"video": "../../etc/passwd"}, 422, "“video” is wrong"),
        ({"file": "/etc/hostname", "video": "0" * 64}, 422, "name one video"),
        ({"file": "/etc/hostname", "person": 0}, 422, "“person” is wrong"),
        ({"file": "/etc/hostname", "start": -1}, 422, "“start” is wrong"),
        ({"file": "/etc/hostname", "duration": 0.5}, 422, "“duration” is wrong"),
        ({"file": "/etc/hostname", "field_of_view": 200}, 422, "“field_of_view” is wrong"),
        ({"file": "/etc/hostname", "seed": 1}, 422, "“seed” is wrong"),
    ],
)
def test_what_makes_no_sense_is_refused(server: Any, wishes: dict[str, Any], status: int, words: str) -> None:
    answer = ask(server, **wishes)
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_a_server_for_others_reads_no_files_of_its_machine(start_server: Callable[..., Any], tmp_path: Path) -> None:
    server = start_server(work="filmed:KINDS", host="0.0.0.0")
    video = make_video(tmp_path / "dancer.mp4")
    answer = ask(server, file=str(video))
    assert answer.status_code == 403
    assert "send the video" in answer.json()["error"]
