"""A small backend for the tests of the interface: the same HTTP, a dance from a file instead of a model.

    python fake_backend.py [--motion FILE] [--api N] [--seconds S] [--fail TEXT] [--die-after N] [--memory FILE]
                           serve --port 0 [--parent PID] [--data DIR]

Standard library alone, so that it runs as the child process of any Blender.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class FakeBackend(ThreadingHTTPServer):
    """Jobs take ``seconds``; after ``die_after`` answers about jobs the process is gone at once.

    With ``memory``, a file, jobs and songs outlive it, as a real backend's do; and it dies only once.
    """

    daemon_threads = True

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(("127.0.0.1", options.port), Handler)
        self.options = options
        self.token = os.environ.get("STEPSMITH_TOKEN", "")
        self.answers = 0
        self.lock = threading.Lock()
        self.songs: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.mortal = options.die_after is not None
        if options.memory and options.memory.exists():
            kept = json.loads(options.memory.read_text())
            self.songs, self.jobs = kept["songs"], kept["jobs"]
            self.mortal = self.mortal and options.die_again

    def keep(self) -> None:
        if self.options.memory:
            self.options.memory.write_text(json.dumps({"songs": self.songs, "jobs": self.jobs}))

    def job(self, job_id: str) -> dict[str, Any] | None:
        job = self.jobs.get(job_id)
        if job is None:
            return None
        progress = min((time.time() - job["begun"]) / max(self.options.seconds, 1e-3), 1.0)
        state = job["state"]
        if state == "running" and progress >= 1.0:
            state = "failed" if self.options.fail else "done"
        return {
            "id": job_id,
            "state": state,
            "progress": progress,
            "text": "Dancing",
            "eta": self.options.seconds * (1.0 - progress),
            "error": self.options.fail if state == "failed" else None,
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeBackend

    def answer(self, status: int, body: dict[str, Any] | bytes) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refused(self) -> bool:
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            self.answer(401, {"error": "The token is wrong."})
            return True
        return False

    def do_GET(self) -> None:
        if self.refused():
            return
        server, parts = self.server, self.path.strip("/").split("/")
        if parts == ["health"]:
            genres = ["cha-cha", "rumba", "tango", "waltz", "polka"]
            self.answer(200, {"stepsmith": "9.8.7", "api": server.options.api, "genres": genres, "model": {}})
            return
        if parts == ["jobs"]:
            self.answer(200, json.dumps([server.job(job_id) for job_id in server.jobs]).encode())
            return
        job = server.job(parts[1]) if parts[0] == "jobs" and len(parts) > 1 else None
        if job is None:
            self.answer(404, {"error": "There is no such job."})
        elif parts[2:] == ["motion"]:
            self.answer(200, server.options.motion.read_bytes())
        else:
            server.answers += 1
            if server.mortal and server.answers > server.options.die_after:
                print("Out of memory in the model.", file=sys.stderr, flush=True)
                os._exit(137)
            self.answer(200, job)

    def do_HEAD(self) -> None:
        if not self.refused():
            self.answer(200 if self.path.split("/")[-1] in self.server.songs else 404, {})

    def do_PUT(self) -> None:
        if self.refused():
            return
        name = self.path.split("/")[-1].split("?")[0]
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if hashlib.sha256(data).hexdigest() != name:
            self.answer(400, {"error": "The song was damaged on its way."})
            return
        with self.server.lock:
            self.server.songs.append(name)
            self.server.keep()
        self.answer(200, {"song": name})

    def do_POST(self) -> None:
        if self.refused():
            return
        wishes = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        sent = wishes.get("song") or wishes.get("video")
        if sent not in self.server.songs and not Path(wishes.get("file", "")).is_file():
            self.answer(404, {"error": "There is no such song."})
        elif wishes.get("genre") == "unheard":
            self.answer(422, {"error": "There is no genre unheard: choose one of the list."})
        else:
            with self.server.lock:
                job_id = f"job{len(self.server.jobs)}"
                self.server.jobs[job_id] = {"state": "running", "begun": time.time(), "wishes": wishes}
                self.server.keep()
            self.answer(201, self.server.job(job_id) or {})

    def do_DELETE(self) -> None:
        if self.refused():
            return
        with self.server.lock:
            self.server.jobs[self.path.split("/")[-1]]["state"] = "cancelled"
            self.server.keep()
        self.answer(200, {})

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--motion", type=Path)
    parser.add_argument("--api", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--fail")
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--die-again", action="store_true")
    parser.add_argument("--memory", type=Path)
    parser.add_argument("serve")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--parent", type=int)
    parser.add_argument("--data", type=Path)
    server = FakeBackend(parser.parse_args())
    ready = {"stepsmith": "9.8.7", "api": server.options.api, "port": server.server_address[1], "pid": os.getpid()}
    print(json.dumps(ready), flush=True)
    if server.options.parent:
        # The pipe's other end is Blender's: it closes when Blender ends, however it ends.
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
