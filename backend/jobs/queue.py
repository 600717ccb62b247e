"""The queue: one job after the other, done by one worker process that is started anew whenever it dies."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..settings import Settings
from .store import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Job, Store, StoreError

_PATIENCE = 4.0  # seconds a worker has to obey before it is killed
_FAREWELL = 1.0  # the same when the server ends
_IDLE = 600.0  # seconds without work after which the worker goes and gives its memory back
_LINE = 1 << 20  # bytes of a worker's line
_AGAIN = 5.0  # seconds until a disk that refused is tried again


class Jobs:
    """The jobs of one server. All methods run on its event loop."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        # What is known of jobs beyond the database: progress, and states the disk had no room for.
        self._live: dict[str, Job] = {}
        self._wake = asyncio.Event()
        self._change = asyncio.Event()
        self._cancelling: set[str] = set()
        self._worker: Process | None = None
        self._running: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Begin with the work, first with what an earlier server left."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop the work; a job that runs is queued again and goes on with the next server."""
        self._closing = True
        self._notify()
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError, StoreError):
                await self._running
        await self._end_worker(_FAREWELL)

    def submit(self, kind: str, song: str, request: dict[str, Any]) -> Job:
        job = self._store.add(kind, song, request)
        self._wake.set()
        return job

    def job(self, job_id: str) -> Job | None:
        return self._live.get(job_id) or self._store.job(job_id)

    def jobs(self) -> list[Job]:
        """All jobs, the oldest first."""
        return [self._live.get(job.id, job) for job in self._store.jobs()]

    async def changes(self, job_id: str) -> AsyncIterator[Job]:
        """The job as it is and after every change, until it is over or the server ends."""
        before = None
        while not self._closing:
            change = self._change
            job = self.job(job_id)
            if job is None:
                return
            if job != before:
                yield job
                before = job
            if job.over:
                return
            await change.wait()

    async def cancel(self, job_id: str) -> Job | None:
        """Cancel a job that waits or runs; one that is over stays as it is."""
        job = self.job(job_id)
        if job is None or job.over:
            return job
        if job.state == QUEUED:
            return self._set(job, state=CANCELLED, text="Cancelled", eta=None)
        self._cancelling.add(job_id)
        job = self._progress(job, job.progress, "Cancelling", None)
        await self._tell({"cancel": True})
        asyncio.get_running_loop().call_later(_PATIENCE, self._insist, job_id)
        return job

    # --- the work -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                job = self._store.next()
                if job is not None:
                    known = self._live.get(job.id, job)
                    if known.over:
                        self._settle(known)
                    else:
                        await self._do(job)
                    self._store.prune()
                    continue
            except Exception as error:  # whatever happened to one job, the queue goes on
                print(f"stepsmith: {error}", file=sys.stderr, flush=True)
                await asyncio.sleep(_AGAIN)
                continue
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), _IDLE)
            except TimeoutError:
                await self._end_worker(_PATIENCE)

    def _settle(self, job: Job) -> None:
        """Write how a job ended that the database still has for waiting, since the disk refused to hear of it.

        Raises StoreError where it still does.
        """
        self._store.change(job, state=job.state, text=job.text, progress=job.progress, eta=job.eta, error=job.error)
        del self._live[job.id]

    async def _do(self, job: Job) -> None:
        song = job.file or self._store.song(job.song)
        if song is None:
            self._set(job, state=FAILED, error=f"The {job.source} is gone from the data folder: send it again.")
            return
        motions = {sha256: self._store.song(sha256) for sha256 in job.motions}
        if None in motions.values():
            self._set(job, state=FAILED, error="A kept motion is gone from the data folder: send it again.")
            return
        self._store.drop_parts(job.id)
        running = self._set(job, state=RUNNING, tries=job.tries + 1, progress=0.0, text="Starting", error=None)
        try:
            word = await self._order(running, song)
        except asyncio.CancelledError:
            # The server ends: that is no fault of the job.
            if job.id in self._cancelling:
                self._set(running, state=CANCELLED, text="Cancelled", eta=None)
            else:
                self._set(running, state=QUEUED, tries=job.tries, progress=0.0, text="Waiting for its turn", eta=None)
            raise
        except Exception as error:
            await self._end_worker(0.0)
            word = {"error": f"The worker can't be used ({error}): start Stepsmith again."}
        cancelled = job.id in self._cancelling
        self._cancelling.discard(job.id)
        if cancelled:
            self._store.dance(job.id).unlink(missing_ok=True)
            self._set(running, state=CANCELLED, text="Cancelled", eta=None)
        elif "crashed" in word:
            self._after_crash(running, int(word["crashed"]))
        elif "error" in word:
            self._set(running, state=FAILED, text="Failed", error=str(word["error"]), eta=None)
        else:
            self._set(running, state=DONE, text="Done", progress=1.0, eta=None)
        self._store.drop_parts(job.id)

    async def _order(self, job: Job, song: Path) -> dict[str, Any]:
        """Have the worker do the job; its last word, or {"crashed": exit code} where it died before."""
        model = self._settings.model
        order = {
            "kind": job.kind,
            "request": job.request,
            "song": str(song),
            "out": str(self._store.dance(job.id)),
            "model": str(model.absolute()) if model else None,
            "motions": {sha256: str(self._store.song(sha256)) for sha256 in job.motions},
        }
        worker = await self._hire()
        if job.id in self._cancelling:
            return {"cancelled": True}
        await self._tell(order)
        began = time.monotonic()
        assert worker.stdout is not None
        while line := await worker.stdout.readline():
            said = json.loads(line)
            if "fraction" not in said:
                return said
            fraction = min(max(float(said["fraction"]), 0.0), 1.0)
            elapsed = time.monotonic() - began
            eta = elapsed * (1.0 - fraction) / fraction if fraction > 0.03 and elapsed > 1.0 else None
            if job.id not in self._cancelling:
                self._progress(job, fraction, str(said.get("text", "")), eta)
        # Until it is waited for, a dead worker looks alive, and the next job would be given to it.
        code = await worker.wait()
        self._worker = None
        return {"crashed": code}

    def _after_crash(self, job: Job, code: int) -> None:
        if job.tries < self._settings.tries:
            self._set(job, state=QUEUED, progress=0.0, text="Starting again after a crash", eta=None)
            return
        part = "another video" if job.kind == "capture" else "another part of the song"
        if code in (-9, 137):
            why = f"was killed, most likely because memory ran out: use a shorter {job.source}, or a part of it"
        else:
            why = f"crashed (code {code}): try {part}, and report it if it happens again"
        self._set(job, state=FAILED, text="Failed", error=f"The worker {why}.", eta=None)

    def _set(self, job: Job, **values: Any) -> Job:
        """Change the job, for good where the disk has room, else for as long as the server lives."""
        changed = replace(job, **values)
        try:
            self._store.change(job, **values)
            self._live.pop(job.id, None)
        except StoreError:
            self._live[job.id] = changed
            if not changed.over:
                raise
        finally:
            self._notify()
        return changed

    def _progress(self, job: Job, fraction: float, text: str, eta: float | None) -> Job:
        """Progress stays in memory: after a restart a job begins anew anyway."""
        self._live[job.id] = changed = replace(job, progress=fraction, text=text, eta=eta)
        self._notify()
        return changed

    def _notify(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    # --- the worker ---------------------------------------------------------------------------------

    async def _hire(self) -> Process:
        """The worker, started if there is none."""
        if self._worker is None or self._worker.returncode is not None:
            environment = {name: value for name, value in os.environ.items() if name != "STEPSMITH_TOKEN"}
            self._worker = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "stepsmith.backend.jobs.worker",
                self._settings.work,
                stdin=PIPE,
                stdout=PIPE,
                env=environment,
                limit=_LINE,
            )
        return self._worker

    async def _tell(self, message: dict[str, Any]) -> None:
        if self._worker is None or self._worker.stdin is None:
            return
        # A worker that just died is noticed where its answers are read.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._worker.stdin.write(json.dumps(message).encode() + b"\n")
            await self._worker.stdin.drain()

    def _insist(self, job_id: str) -> None:
        """Kill a worker that goes on with a cancelled job."""
        if job_id in self._cancelling and self._worker is not None:
            with suppress(ProcessLookupError):
                self._worker.kill()

    async def _end_worker(self, patience: float) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        if worker.stdin is not None:
            worker.stdin.close()  # at which it ends by itself
        try:
            await asyncio.wait_for(worker.wait(), patience)
        except TimeoutError:
            with suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
