"""A real server in a process of its own, and a song to send to it."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import save_file
from stepsmith.backend.audio.synth import synthesise, write_wav

HERE = Path(__file__).parent
TOKEN = "a token of the tests, long enough"
_START = """
import json, os, sys
from pathlib import Path
from stepsmith.backend.server import serve
from stepsmith.backend.settings import Settings
given = json.loads(sys.argv[1])
places = {name: Path(given.pop(name)) for name in ("data", "model")}
serve(Settings(os.environ.pop("STEPSMITH_TOKEN"), **places, **given))
"""


class Server:
    """A server process with its own data folder, and a client that may talk to it."""

    def __init__(self, folder: Path, model: Path, **settings: Any) -> None:
        self.gate = folder / "gate"  # slow jobs end when it appears
        self.given = {
            "data": str(folder / "data"),
            "model": str(model),
            "work": "pretended:KINDS",
            "room_needed": 1 << 20,
            **settings,
        }
        self.start()

    def start(self) -> None:
        environment = {**os.environ, "STEPSMITH_TOKEN": TOKEN, "STEPSMITH_TEST_GATE": str(self.gate)}
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE / "work"), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, json.dumps(self.given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1].decode())
        self.ready = json.loads(line)
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.ready['port']}",
            headers={"Authorization": f"Bearer {TOKEN}", "X-Stepsmith-Api": "1"},
            timeout=20,
        )

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.client.close()
        self.process.send_signal(number)
        self.process.communicate(timeout=20)

    def send(self, data: bytes = b"la la la", name: str = "la.wav") -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.client.put(f"/songs/{sha256}", params={"name": name}, content=data).raise_for_status()
        return sha256

    def submit(self, seed: int, song: str | None = None, **wishes: Any) -> str:
        answer = self.client.post("/jobs", json={"kind": "dance", "song": song or self.send(), "seed": seed, **wishes})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get(f"/jobs/{job_id}").raise_for_status().json()
        return answer

    def wait(self, job_id: str, *states: str, seconds: float = 30.0) -> dict[str, Any]:
        """The job once it is in one of ``states``, by default once it is over."""
        wanted = states or ("done", "failed", "cancelled")
        end = time.monotonic() + seconds
        while True:
            job = self.job(job_id)
            if job["state"] in wanted:
                return job
            assert time.monotonic() < end, f"still {job}"
            time.sleep(0.03)

    def worker(self) -> int:
        """The worker's process id."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        (worker,) = [int(child) for child in children]
        return worker


@pytest.fixture(scope="session")
def header_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that know their genres and nothing else."""
    file = tmp_path_factory.mktemp("weights") / "header.safetensors"
    config = json.dumps({"genres": ["tango", "waltz"]})
    save_file({"nothing": np.zeros(1, np.float16)}, file, {"format": "stepsmith-dance-1", "config": config})
    return file


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dance model of the real kind, tiny and untrained: it dances badly, and quickly."""
    import torch
    from stepsmith.backend.dance.model import DanceModel, ModelConfig
    from stepsmith.backend.dance.weights import save_model

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    config = ModelConfig(genres=("tango", "waltz"), width=32, depth=1, heads=2)
    save_model(file, DanceModel(config), {"data": "none", "licence": "none"})
    return file


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of music."""
    file = tmp_path_factory.mktemp("songs") / "song.wav"
    write_wav(file, synthesise(tempo=120, duration=6.0))
    return file


@contextmanager
def no_room() -> Iterator[None]:
    """No file grows beyond a kilobyte meanwhile, as on a disk that is nearly full."""
    least, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (least, most))


@pytest.fixture
def full_disk() -> Callable[[], AbstractContextManager[None]]:
    """Has no room on the disk for as long as it is entered."""
    return no_room


@pytest.fixture
def start_server(tmp_path: Path, header_only: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers, in the test's own folder unless told otherwise; ends them after the test."""
    servers: list[Server] = []

    def start(folder: Path = tmp_path, model: Path = header_only, **settings: Any) -> Server:
        servers.append(Server(folder, model, **settings))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, header_only: Path) -> Iterator[Server]:
    """One server for all tests of a file that don't end or change it."""
    server = Server(tmp_path_factory.mktemp("server"), header_only)
    yield server
    server.stop()
