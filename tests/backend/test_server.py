"""The server over real HTTP: who is let in, what is refused and how, how it starts and ends."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import stepsmith
from stepsmith.backend.audio.synth import synthesise, write_wav
from stepsmith.retarget.files import motion_from_bytes, motion_to_bytes
from stepsmith.retarget.motion import Motion, concatenate

NOBODY = "0" * 64


def refusal(answer: httpx.Response, status: int) -> str:
    """The one sentence of a refusal."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert "\n" not in body["error"]
    assert len(body["error"]) > 20
    return str(body["error"])


# --- who is let in --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/jobs"),
        ("POST", "/jobs"),
        ("PUT", f"/songs/{NOBODY}"),
        ("GET", "/jobs/x/motion"),
        ("GET", "/jobs/x/events"),
        ("DELETE", "/jobs/x"),
        ("GET", "/nothing"),
    ],
)
@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic abc", "bearer é"])
def test_nothing_without_the_token(server: Any, method: str, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = httpx.request(method, f"{server.client.base_url}{path}", headers=headers)  # type: ignore[arg-type]
    assert "token" in refusal(answer, 401)


def test_another_version_is_told_both(server: Any) -> None:
    answer = server.client.get("/health", headers={"X-Stepsmith-Api": "2"})
    assert stepsmith.__version__ in refusal(answer, 409)
    assert answer.json()["api"] == 1
    assert answer.json()["stepsmith"] == stepsmith.__version__


def test_health_says_what_can_be_danced(server: Any) -> None:
    said = server.client.get("/health").json()
    assert said == {"stepsmith": stepsmith.__version__, "api": 1, "genres": ["tango", "waltz"], "model": {}}


def test_missing_and_damaged_weights_are_said_before_the_work(
    start_server: Callable[..., Any], tmp_path: Path, header_only: Path
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(header_only.read_bytes()[:40])
    for model, word in ((tmp_path / "none.safetensors", "missing"), (damaged, "damaged")):
        server = start_server(tmp_path / word, model) if (tmp_path / word).mkdir() is None else None
        health = server.client.get("/health").json()
        assert health["genres"] == []
        assert word in health["model"]["error"]
        answer = server.client.post("/jobs", json={"kind": "dance", "song": server.send()})
        assert word in refusal(answer, 503)


# --- songs ------------------------------------------------------------------------------------------------


def test_a_song_is_sent_once(server: Any) -> None:
    sha256 = hashlib.sha256(b"once").hexdigest()
    assert server.client.head(f"/songs/{sha256}").status_code == 404
    answer = server.client.put(f"/songs/{sha256}", params={"name": "once.mp3"}, content=b"once")
    assert answer.json() == {"song": sha256}
    assert server.client.head(f"/songs/{sha256}").status_code == 200


def test_a_large_song_arrives_whole(server: Any) -> None:
    data = os.urandom(1 << 20) * 24
    sha256 = server.send(data, "large.flac")
    (file,) = (Path(server.given["data"]) / "songs" / sha256).iterdir()
    assert file.name == "large.flac"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def test_bad_songs_are_refused_and_leave_nothing(server: Any) -> None:
    put = server.client.put
    assert "damaged" in refusal(put(f"/songs/{NOBODY}", content=b"something else"), 400)
    assert "empty" in refusal(put(f"/songs/{hashlib.sha256(b'').hexdigest()}", content=b""), 400)
    for name in ("short", "Z" * 64, NOBODY[:-1] + "A", "..%2f..%2fetc"):
        answer = put(f"/songs/{name}", content=b"x")
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]
    assert not list((Path(server.given["data"]) / "songs").glob(".*"))
    assert server.client.head(f"/songs/{NOBODY}").status_code == 404


def test_a_song_too_large_is_refused_also_where_its_size_is_not_told(start_server: Callable[..., Any]) -> None:
    server = start_server(largest_song=1000)
    sha256 = hashlib.sha256(bytes(1001)).hexdigest()
    assert "larger" in refusal(server.client.put(f"/songs/{sha256}", content=bytes(1001)), 413)
    parts = (bytes(77) for _ in range(13))
    assert "larger" in refusal(server.client.put(f"/songs/{sha256}", content=parts), 413)
    assert server.client.head(f"/songs/{sha256}").status_code == 404
    assert server.send(bytes(1000))


def test_an_upload_broken_off_leaves_nothing(start_server: Callable[..., Any]) -> None:
    server = start_server()
    sha256 = hashlib.sha256(b"whole").hexdigest()
    address = ("127.0.0.1", server.ready["port"])
    head = f"PUT /songs/{sha256} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    head += f"Authorization: {server.client.headers['Authorization']}\r\n\r\nwho"
    with socket.create_connection(address) as connection:
        connection.sendall(head.encode())
        time.sleep(0.3)
    time.sleep(0.3)
    assert not list((Path(server.given["data"]) / "songs").glob(".*"))
    assert server.client.head(f"/songs/{sha256}").status_code == 404
    server.process.terminate()
    assert server.process.communicate(timeout=20)[1] == b""


def test_a_full_disk_is_said_before_the_work(start_server: Callable[..., Any]) -> None:
    server = start_server(room_needed=1 << 60)
    sha256 = hashlib.sha256(b"x").hexdigest()
    assert "full" in refusal(server.client.put(f"/songs/{sha256}", content=b"x"), 507)


# --- jobs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "status", "word"),
    [
        ({"genre": "polka"}, 422, "tango, waltz"),
        ({"kind": "knitting"}, 422, "kind"),
        ({"song": NOBODY}, 404, "not been sent"),
        ({"song": "../../etc"}, 422, "song"),
        ({"seed": -1}, 422, "seed"),
        ({"seed": "seven"}, 422, "seed"),
        ({"start": -0.1}, 422, "start"),
        ({"duration": 0.5}, 422, "duration"),
        ({"duration": 1e9}, 422, "duration"),
        ({"bpm": 3}, 422, "bpm"),
        ({"meter": 1}, 422, "meter"),
        ({"tempo": 120}, 422, "tempo"),
        ({"controls": {"radius": -1.0}}, 422, "radius"),
        ({"controls": {"candidates": 1000}}, 422, "candidates"),
        ({"controls": {"changes": [[4.0, "polka"]]}}, 422, "polka"),
        ({"controls": {"keep": [{"motion": NOBODY}]}}, 404, "not been sent"),
        ({"controls": {"keep": [{"motion": "../x"}]}}, 422, "motion"),
        ({"controls": {"speed": 2.0}}, 422, "speed"),
        ({"controls": {"energy": []}}, 422, "energy"),
        ({"genre": "\ud800"}, 422, "“\\ud800”: choose one of tango, waltz"),
        ({"kind": "\ud800"}, 422, "kind"),
    ],
)
def test_bad_wishes_are_refused(server: Any, wishes: dict[str, Any], status: int, word: str) -> None:
    before = len(server.client.get("/jobs").json())
    body = json.dumps({"kind": "dance", "song": server.send(), **wishes})
    answer = server.client.post("/jobs", content=body, headers={"Content-Type": "application/json"})
    assert word in refusal(answer, status)
    assert len(server.client.get("/jobs").json()) == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"kind": NaN}', b"\xff\xfe", b"[" * 50_000])
def test_what_is_no_request_is_refused(server: Any, body: bytes) -> None:
    answer = server.client.post("/jobs", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"kind": "dance", "song": "x"}', "application/x-www-form-urlencoded", "“Content-Type: application/json”"),
        (b'{"kind": "dance", "song": "x"}', "", "“Content-Type: application/json”"),
        (b'{"kind": "dance",}', "application/json", "no JSON (Expecting property name"),
        (b"\xff\xfe", "application/json", "no JSON"),
        (b"[" * 50_000, "application/json", "no JSON"),
    ],
)
def test_a_request_that_is_no_json_is_told_so(server: Any, body: bytes, kind: str, words: str) -> None:
    answer = server.client.post("/jobs", content=body, headers={"Content-Type": kind} if kind else {})
    assert words in refusal(answer, answer.status_code)
    assert answer.status_code in (400, 422)


def test_an_endless_request_is_refused(server: Any) -> None:
    body = b'{"kind": "' + b"x" * (1 << 20) + b'"}'
    answer = server.client.post("/jobs", content=body, headers={"Content-Type": "application/json"})
    assert "larger" in refusal(answer, 413)


@pytest.mark.parametrize("path", ["/jobs/none", "/jobs/none/motion", "/jobs/none/events", "/jobs/none/stream"])
def test_unknown_jobs(server: Any, path: str) -> None:
    assert "no such job" in refusal(server.client.get(path), 404)
    assert "no such job" in refusal(server.client.delete("/jobs/none"), 404)


def test_unknown_paths_and_methods(server: Any) -> None:
    assert "/docs" in refusal(server.client.get("/docs"), 404)
    refusal(server.client.get("/openapi.json"), 404)
    refusal(server.client.patch("/jobs"), 405)


def test_a_real_dance_for_a_real_song(start_server: Callable[..., Any], small_model: Path, song: Path) -> None:
    server = start_server(model=small_model, work="stepsmith.backend.jobs.work:KINDS")
    sha256 = server.send(song.read_bytes(), "Ta Panta Rhei.wav")
    jobs = [server.submit(5, sha256, genre="tango", start=1.0, duration=4.0) for _ in range(2)]
    wrong = server.submit(5, sha256, start=100.0)
    silence = server.submit(5, server.send(b"not a song", "notes.txt"))
    for job_id in jobs:
        assert server.wait(job_id, seconds=90)["state"] == "done"
    first, second = (server.client.get(f"/jobs/{job_id}/motion").content for job_id in jobs)
    assert first == second, "the same seed, the same dance"
    motion = motion_from_bytes(first)
    assert len(motion) == 120
    assert {"genre": "tango", "seed": 5, "song": "Ta Panta Rhei.wav", "song_start": 1.0}.items() <= motion.meta.items()
    assert motion.beats is not None
    assert abs(float(motion.beats[1] - motion.beats[0]) - 0.5) < 0.06
    for job_id, name in ((wrong, "Ta Panta Rhei.wav"), (silence, "notes.txt")):
        job = server.wait(job_id)
        assert job["state"] == "failed"
        assert name in job["error"]


def streamed(server: Any, job_id: str) -> tuple[list[float], Motion | None, dict[str, Any]]:
    """Starts of the parts that the server hands out, what they are together, and its last word."""
    with server.client.stream("GET", f"/jobs/{job_id}/stream", timeout=90) as answer:
        lines = [json.loads(line) for line in answer.iter_lines() if line]
    parts = [motion_from_bytes(base64.b64decode(line["motion"])) for line in lines[:-1]]
    return [line["start"] for line in lines[:-1]], concatenate(parts) if parts else None, lines[-1]


def test_a_dance_is_streamed_while_it_is_made(start_server: Callable[..., Any], small_model: Path, song: Path) -> None:
    server = start_server(model=small_model, work="stepsmith.backend.jobs.work:KINDS")
    long = synthesise(tempo=120, duration=24.0)
    write_wav(song.with_name("long.wav"), long)
    sha256 = server.send(song.with_name("long.wav").read_bytes(), "long.wav")
    job_id = server.submit(5, sha256, genre="tango", stream=True, controls={"radius": 1.0, "changes": [[14, "waltz"]]})
    starts, dance, word = streamed(server, job_id)
    assert word == {"done": True}
    assert starts == [0.0, 5.0, 20.0]
    whole = motion_from_bytes(server.client.get(f"/jobs/{job_id}/motion").content)
    assert dance is not None
    assert np.array_equal(dance.positions(), whole.positions())
    assert len(whole) == 720
    assert (whole.meta["song"], whole.meta["genre_changes"]) == ("long.wav", [[14, "waltz"]])
    assert not list((Path(server.given["data"]) / "dances").glob(".*"))
    # who comes late gets all of it at once, in lines that are no longer than those of the others
    starts, late, _ = streamed(server, job_id)
    assert starts == [0.0, 15.0]
    assert late is not None
    assert np.array_equal(late.positions(), whole.positions())
    refused = server.submit(5, sha256, stream=True, controls={"loop": True})
    assert "while it is made" in streamed(server, refused)[2]["error"]


def test_motions_are_sent_to_be_kept(start_server: Callable[..., Any], small_model: Path, song: Path) -> None:
    server = start_server(model=small_model, work="stepsmith.backend.jobs.work:KINDS")
    sha256 = server.send(song.read_bytes(), "song.wav")
    first = server.submit(1, sha256)
    server.wait(first, seconds=90)
    data = server.client.get(f"/jobs/{first}/motion").content
    given = motion_from_bytes(data).slice(60, 90)
    motion = server.send(motion_to_bytes(given), "given.npz")
    notes = server.send(b"no motion", "notes.txt")
    keep = {"motion": motion, "at": 2.0}
    job_id = server.submit(2, sha256, controls={"keep": [keep], "energy": None, "candidates": 2})
    wrong = server.submit(2, sha256, controls={"keep": [{"motion": notes}]})
    assert server.wait(job_id, seconds=90)["state"] == "done"
    kept = motion_from_bytes(server.client.get(f"/jobs/{job_id}/motion").content).slice(60, 90)
    assert np.abs(kept.positions() - given.positions()).max() < 1e-3
    assert "notes.txt" in server.wait(wrong, seconds=30)["error"]


# --- the process ------------------------------------------------------------------------------------------


def start_command(*arguments: str, token: str | None = "x" * 32, **options: Any) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "STEPSMITH_TOKEN"}
    if token is not None:
        environment["STEPSMITH_TOKEN"] = token
    command = [sys.executable, "-m", "stepsmith.backend.cli", "serve", *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def test_the_command_says_where_it_listens_and_ends_with_its_input(tmp_path: Path) -> None:
    process = start_command("--data", str(tmp_path), "--parent", str(os.getpid()), stdin=subprocess.PIPE)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready.keys() == {"stepsmith", "api", "port", "pid"}
    assert ready["pid"] == process.pid
    url = f"http://127.0.0.1:{ready['port']}/health"
    assert httpx.get(url, headers={"Authorization": "Bearer " + "x" * 32}).status_code == 200
    output, errors = process.communicate(timeout=15)  # closes its input
    assert process.returncode == 0
    assert (output, errors) == ("", "")


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(["sleep", "60"])
    process = start_command("--data", str(tmp_path), "--parent", str(parent.pid), stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline()
    time.sleep(1.0)
    assert process.poll() is None
    parent.kill()
    parent.wait()
    process.communicate(timeout=15)
    assert process.returncode == 0


def test_without_a_parent_it_stays_when_its_input_ends(tmp_path: Path) -> None:
    process = start_command("--data", str(tmp_path), stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdin.close()
    process.stdin = None
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=15)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "token", "word"),
    [
        ([], None, "STEPSMITH_TOKEN"),
        (["--host", "0.0.0.0"], "short", "longer"),
        (["--host", "256.0.0.1"], "x" * 32, "can't listen"),
    ],
)
def test_a_start_that_fails_is_one_sentence(tmp_path: Path, arguments: list[str], token: str | None, word: str) -> None:
    process = start_command("--data", str(tmp_path), *arguments, token=token)
    output, errors = process.communicate(timeout=15)
    assert (process.returncode, output) == (1, "")
    assert word in errors
    assert len(errors.splitlines()) == 1


def test_a_port_in_use_and_a_folder_that_is_none(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start_command("--data", str(tmp_path), "--port", str(taken.getsockname()[1]))
        assert "another port" in process.communicate(timeout=15)[1]
    (tmp_path / "file").touch()
    process = start_command("--data", str(tmp_path / "file"))
    assert "--data" in process.communicate(timeout=15)[1]
    assert process.returncode == 1


def test_the_token_stays_out_of_sight(server: Any) -> None:
    for place in ("cmdline", "environ"):
        shown = Path(f"/proc/{server.worker()}/{place}").read_bytes() if server.wait(server.submit(0)) else b""
        assert b"a token of the tests" not in shown
    assert b"a token of the tests" not in Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
