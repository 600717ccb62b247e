"""The HTTP server that Blender talks to: songs come in, jobs are followed, dances go out.

Every request carries ``Authorization: Bearer TOKEN``. Every error is {"error": one sentence}.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
import stat
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import __version__
from ..retarget.errors import StepsmithError
from ..retarget.files import motion_from_bytes, motion_to_bytes
from ..retarget.motion import Motion
from .jobs import Job, Jobs
from .jobs.store import DONE, FAILED, Store, StoreError
from .model_header import ModelError, read_header
from .settings import API_VERSION, LOOPBACK, SHORTEST_OPEN_TOKEN, Settings

_HEARTBEAT = 10.0  # seconds of silence after which a stream of events shows that it lives
_PARENT_EVERY = 0.5  # seconds between two looks at the parent
_GOODBYE = 1  # seconds open connections have when the server ends
_LARGEST_REQUEST = 64 << 10  # bytes of a request that is no song
_PART = 15.0  # seconds of dance that one line of a stream holds, where it is not handed out as it was made
_NAME = r"^[0-9a-f]{64}$"


class KeepRequest(BaseModel):
    """See ``dance.controls.Keep``; ``motion``: SHA-256 of a motion file that was sent as songs are."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    motion: str = Field(pattern=_NAME)
    at: float = Field(default=0.0, ge=0.0)
    part: Literal["all", "upper", "lower"] = "all"


class ControlsRequest(BaseModel):
    """See ``dance.controls.Controls``."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    changes: list[tuple[float, str]] = Field(default=[], max_length=100)
    energy: float | Annotated[list[tuple[float, float]], Field(min_length=1)] | None = None
    keep: list[KeepRequest] = Field(default=[], max_length=100)
    loop: bool = False
    radius: float | None = Field(default=None, gt=0.0)
    mirror: bool = False
    candidates: int = Field(default=1, ge=1, le=16)


class DanceRequest(BaseModel):
    """What a client asks for; see ``choreography.Wish``. ``stream``: its parts can be had while it is made."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Literal["dance"]
    song: str = Field(pattern=_NAME)
    genre: str | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)
    start: float = Field(default=0.0, ge=0.0)
    duration: float | None = Field(default=None, ge=1.0, le=7200.0)
    bpm: float | None = Field(default=None, ge=30.0, le=300.0)
    meter: int | None = Field(default=None, ge=2, le=12)
    controls: ControlsRequest | None = None
    stream: bool = False


class CaptureRequest(BaseModel):
    """What a client asks for of a video; see ``performance.Take``.

    ``video``: SHA-256 of one that was sent as songs are; or, where client and server share a machine, ``file``:
    its full path there.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Literal["capture"]
    video: str | None = Field(default=None, pattern=_NAME)
    file: str | None = None
    person: int | None = Field(default=None, ge=1, le=100)
    start: float = Field(default=0.0, ge=0.0)
    duration: float | None = Field(default=None, ge=1.0, le=7200.0)
    field_of_view: float | None = Field(default=None, ge=1.0, le=170.0)


class Refused(HTTPException):
    """A request that can't be met: an HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status, sentence)


def make_app(settings: Settings, store: Store) -> FastAPI:
    """The server's application; jobs run between its startup and its shutdown."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        jobs = Jobs(store, settings)
        app.state.store, app.state.jobs, app.state.settings = store, jobs, settings
        jobs.start()
        try:
            yield
        finally:
            await jobs.stop()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_Guard, token=settings.token)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.add_exception_handler(StepsmithError, _failed)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _broken)
    _add_songs(app)
    _add_jobs(app)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        said: dict[str, Any] = {"stepsmith": __version__, "api": API_VERSION, "genres": [], "model": {}}
        try:
            header = await asyncio.to_thread(read_header, settings.model)
        except ModelError as error:
            return {**said, "model": {"error": str(error)}}
        return {**said, "genres": list(header.genres), "model": header.facts}

    return app


def _add_songs(app: FastAPI) -> None:
    @app.head("/songs/{sha256}")
    async def has_song(sha256: str, request: Request) -> Response:
        _check_name(sha256)
        return Response(status_code=200 if request.app.state.store.song(sha256) else 404)

    @app.put("/songs/{sha256}")
    async def put_song(sha256: str, request: Request, name: str = "song") -> dict[str, str]:
        _check_name(sha256)
        store: Store = request.app.state.store
        settings: Settings = request.app.state.settings
        upload = store.unfinished_song()
        try:
            await _receive(request, upload, sha256, min(settings.largest_song, store.room() - settings.room_needed))
            store.keep_song(upload, sha256, name)
        finally:
            upload.unlink(missing_ok=True)
        return {"song": sha256}


def _check_name(sha256: str) -> None:
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise Refused(400, "A song is named by the SHA-256 of its content, 64 hexadecimal digits in lower case.")


async def _receive(request: Request, upload: Path, sha256: str, largest: int) -> None:
    """Write a request's body to ``upload``; Refused where it is too large, empty or not what ``sha256`` says."""
    settings: Settings = request.app.state.settings

    def check(size: int) -> None:
        if size > settings.largest_song:
            raise Refused(413, f"The file is larger than {settings.largest_song >> 20} MB: cut it into parts.")
        if size > largest:
            raise Refused(507, "The disk of the backend's data folder is full: free some room on it.")

    stated = request.headers.get("content-length", "")
    check(int(stated) if stated.isdigit() else 0)
    digest, size = hashlib.sha256(), 0
    try:
        with upload.open("wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                check(size)
                digest.update(chunk)
                file.write(chunk)
    except OSError as error:
        raise Refused(507, f"The file can't be kept ({error.strerror}): free some room for the backend.") from error
    if size == 0:
        raise Refused(400, "The file is empty: choose another one.")
    if digest.hexdigest() != sha256:
        raise Refused(400, "The file was damaged on its way: send it again.")


def _add_jobs(app: FastAPI) -> None:
    @app.post("/jobs", status_code=201)
    async def submit(
        request: Request, wish: Annotated[DanceRequest | CaptureRequest, Body(discriminator="kind")]
    ) -> dict[str, Any]:
        jobs, store, settings = request.app.state.jobs, request.app.state.store, request.app.state.settings
        if isinstance(wish, CaptureRequest):
            _check_video(wish, store, settings)
            _check_room(store, settings)
            return jobs.submit(wish.kind, wish.video or "", wish.model_dump(exclude={"kind", "video"})).public()
        if store.song(wish.song) is None:
            raise Refused(404, "The song has not been sent yet, or was dropped to make room: send it, then ask again.")
        header = await asyncio.to_thread(read_header, settings.model)
        controls = wish.controls or ControlsRequest()
        for genre in (wish.genre, *(name for _, name in controls.changes)):
            header.check_genre(genre)
        if any(store.song(keep.motion) is None for keep in controls.keep):
            raise Refused(404, "A motion has not been sent yet, or was dropped to make room: send it, then ask again.")
        _check_room(store, settings)
        return jobs.submit(wish.kind, wish.song, wish.model_dump(exclude={"kind", "song"})).public()

    @app.get("/jobs")
    async def all_jobs(request: Request) -> list[dict[str, Any]]:
        return [job.public() for job in request.app.state.jobs.jobs()]

    @app.get("/jobs/{job_id}")
    async def job(job_id: str, request: Request) -> dict[str, Any]:
        return _job(request, job_id).public()

    @app.delete("/jobs/{job_id}")
    async def cancel(job_id: str, request: Request) -> dict[str, Any]:
        _job(request, job_id)
        cancelled = await request.app.state.jobs.cancel(job_id)
        return cancelled.public()

    @app.get("/jobs/{job_id}/events")
    async def events(job_id: str, request: Request) -> StreamingResponse:
        _job(request, job_id)
        return StreamingResponse(
            _events(request.app.state.jobs, job_id),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )

    @app.get("/jobs/{job_id}/stream")
    async def stream(job_id: str, request: Request) -> StreamingResponse:
        _job(request, job_id)
        return StreamingResponse(
            _stream(request.app.state.jobs, request.app.state.store, job_id),
            media_type="application/x-ndjson",
            headers={"Cache-Control": "no-store"},
        )

    @app.get("/jobs/{job_id}/motion")
    async def motion(job_id: str, request: Request) -> FileResponse:
        job = _job(request, job_id)
        if job.state == FAILED:
            raise Refused(404, job.error or "The job failed, so there is no dance.")
        if job.state != DONE:
            raise Refused(404, f"There is no dance: the job is {job.state}.")
        file: Path = request.app.state.store.dance(job_id)
        if not file.is_file():
            raise Refused(410, "The dance was removed from the backend's data folder: generate it again.")
        return FileResponse(file, media_type="application/octet-stream")


def _check_room(store: Store, settings: Settings) -> None:
    if store.room() < settings.room_needed:
        raise Refused(507, "The disk of the backend's data folder is full: free some room on it.")


def _check_video(wish: CaptureRequest, store: Store, settings: Settings) -> None:
    if (wish.video is None) == (wish.file is None):
        raise Refused(422, "The request can't be understood: name one video, sent or as a file.")
    if wish.video is not None and store.song(wish.video) is None:
        raise Refused(404, "The video has not been sent yet, or was dropped to make room: send it, then ask again.")
    if wish.file is not None:
        # A server that other machines reach reads no file just because they name it.
        if settings.host not in LOOPBACK:
            raise Refused(403, "This server reads no files of its machine for others: send the video instead.")
        # Not Path's is_file, which raises where a name is longer than any file's can be.
        if not os.path.isabs(wish.file) or not os.path.isfile(wish.file):
            raise Refused(404, f"There is no video “{wish.file}” on the backend's machine: check the path.")


def _job(request: Request, job_id: str) -> Job:
    job: Job | None = request.app.state.jobs.job(job_id)
    if job is None:
        raise Refused(404, "There is no such job: it was never begun here, or is long over.")
    return job


async def _events(jobs: Jobs, job_id: str) -> AsyncIterator[str]:
    """Server-sent events: the job after every change, a comment now and then to show that the stream lives."""
    async for job in _followed(jobs, job_id):
        yield ": still here\n\n" if job is None else f"data: {json.dumps(job.public())}\n\n"


async def _stream(jobs: Jobs, store: Store, job_id: str) -> AsyncIterator[str]:
    """Lines of JSON: {"start": second, "motion": base64 of an .npz} for each part of the dance as soon as it is made,
    at the end {"done": true} or {"error": sentence}; an empty line now and then to show that the stream lives.

    Files are read and lines made on threads, since the server answers others meanwhile.
    """
    number = frames = 0
    async for job in _followed(jobs, job_id):
        if job is None:
            yield "\n"
            continue
        while (part := await asyncio.to_thread(_read, store.part(job_id, number))) is not None:
            yield await asyncio.to_thread(_line, part, frames)
            number, frames = number + 1, frames + len(part)
        if job.state == DONE:
            # What is still to be sent: its parts may be gone by now.
            whole = await asyncio.to_thread(_read, store.dance(job_id))
            if whole is not None:
                step = round(_PART * whole.fps)
                for first in range(frames, len(whole), step):
                    yield await asyncio.to_thread(_line, whole.slice(first, first + step), first)
            gone = "The dance was removed from the backend's data folder: generate it again."
            yield json.dumps({"error": gone} if whole is None else {"done": True}) + "\n"
        elif job.over:
            yield json.dumps({"error": job.error or f"There is no dance: the job is {job.state}."}) + "\n"


def _read(file: Path) -> Motion | None:
    """The motion in a file of the worker's; None where there is none (yet)."""
    try:
        return motion_from_bytes(file.read_bytes())
    except FileNotFoundError:
        return None


def _line(part: Motion, first: int) -> str:
    data = base64.b64encode(motion_to_bytes(part)).decode()
    return json.dumps({"start": first / part.fps, "motion": data}) + "\n"


async def _followed(jobs: Jobs, job_id: str) -> AsyncIterator[Job | None]:
    """The job after every change until it is over; None after each long silence."""
    changes = jobs.changes(job_id)
    following: asyncio.Task[Job] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(changes))
            done, _ = await asyncio.wait({following}, timeout=_HEARTBEAT)
            if not done:
                yield None
                continue
            try:
                job = following.result()
            except StopAsyncIteration:
                return
            following = None
            yield job
    finally:
        if following is not None:
            following.cancel()


# --- errors -------------------------------------------------------------------------------------------


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)
    sentence = str(error.detail)
    if error.status_code == 400 and not isinstance(error, Refused):  # the framework's own: what no parser takes
        sentence = "The request can't be understood: what it holds is no JSON."
    elif not isinstance(error, Refused):  # no such path, no such method
        sentence = f"{request.method} {request.url.path} is nothing this server answers ({sentence})."
    return _said(sentence, error.status_code)


async def _misunderstood(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        said, place = first["ctx"]["error"], first["loc"][-1]
        return _said(f"The request can't be understood: it is no JSON ({said}, at character {place}).", 422)
    if isinstance(error.body, bytes):  # left as it came, for what its header says
        advice = "send it as JSON, with the header “Content-Type: application/json”"
        return _said(f"The request can't be understood: {advice}.", 422)
    # The second step of a wish's place is its kind, by which its form was chosen.
    place = ".".join(str(step) for step in first["loc"] if step not in ("body", "dance", "capture"))
    what = f"its “{place}” is wrong" if place else "it is wrong"
    return _said(f"The request can't be understood: {what} ({first['msg']}).", 422)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    status = 503 if isinstance(error, ModelError) else 507 if isinstance(error, StoreError) else 422
    return _said(str(error), status)


async def _gone(request: Request, error: Exception) -> Response:
    """To a client that left in the middle of its request, and hears nothing any more."""
    return Response(status_code=400)


async def _broken(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": f"An unexpected error stopped the request ({type(error).__name__})."}, 500)


def _said(sentence: str, status: int) -> JSONResponse:
    """An error's answer; half of a character, which no text can hold, is shown by its number."""
    return JSONResponse({"error": sentence.encode(errors="backslashreplace").decode()}, status)


class _Guard:
    """Lets in who knows the token and speaks this version; bounds what is read from them."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive if scope["method"] == "PUT" else _bounded(receive), send)

    def _refusal(self, headers: dict[bytes, bytes]) -> JSONResponse | None:
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            return JSONResponse({"error": "The token is wrong: use the one this server was started with."}, 401)
        spoken = headers.get(b"x-stepsmith-api", str(API_VERSION).encode())
        if spoken != str(API_VERSION).encode():
            sentence = (
                f"This is Stepsmith {__version__}, which speaks version {API_VERSION} of its interface, not"
                f" {spoken.decode('latin-1')}: install the same version of both."
            )
            return JSONResponse({"error": sentence, "stepsmith": __version__, "api": API_VERSION}, 409)
        return None


def _bounded(receive: Receive) -> Receive:
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > _LARGEST_REQUEST:
            raise Refused(413, "The request is larger than any request should be.")
        return message

    return bounded


# --- the process --------------------------------------------------------------------------------------


def serve(settings: Settings) -> None:
    """Serve until told to end by a signal, or until the parent is gone. Raises StepsmithError."""
    _check(settings)
    with _listen(settings) as listening, closing(Store(settings)) as store:
        config = uvicorn.Config(
            make_app(settings, store),
            log_level="error",
            access_log=False,
            timeout_graceful_shutdown=_GOODBYE,
            lifespan="on",
        )
        server = _Server(config, {"stepsmith": __version__, "api": API_VERSION, "port": listening.getsockname()[1]})
        if settings.parent is not None:
            _end_with(settings.parent, server)
        # Having ended in order, uvicorn passes on the signal that asked for it.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """Says on stdout when it is ready, in one line of JSON."""

    def __init__(self, config: uvicorn.Config, ready: dict[str, Any]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(json.dumps({**self._ready, "pid": os.getpid()}), flush=True)


def _check(settings: Settings) -> None:
    if not settings.token:
        raise StepsmithError(
            "The server needs a token that its clients will show: put one into the environment variable"
            " STEPSMITH_TOKEN, for example STEPSMITH_TOKEN=$(openssl rand -hex 32)."
        )
    if settings.host not in LOOPBACK and len(settings.token) < SHORTEST_OPEN_TOKEN:
        raise StepsmithError(
            f"A server that others can reach ({settings.host}) needs a token of at least {SHORTEST_OPEN_TOKEN}"
            " characters: choose a longer STEPSMITH_TOKEN."
        )


def _listen(settings: Settings) -> socket.socket:
    place = f"{settings.host}, port {settings.port}"
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise StepsmithError(f"The server can't listen at {place} ({error.strerror}): choose another port.") from error


def _end_with(parent: int, server: uvicorn.Server) -> None:
    """End the server once the process ``parent`` is gone, or standard input ends where it is a pipe."""

    def end() -> None:
        server.should_exit = True

    def watch_parent() -> None:
        ours = os.getppid() == parent
        while _exists(parent) and not (ours and os.getppid() != parent):
            time.sleep(_PARENT_EVERY)
        end()

    def watch_stdin() -> None:
        with suppress(OSError):
            while os.read(0, 1024):
                pass
        end()

    # Windows has no harmless signal to ask with; there the pipe alone tells.
    if os.name == "posix":
        threading.Thread(target=watch_parent, name="parent", daemon=True).start()
    with suppress(OSError):
        if not stat.S_ISCHR(os.fstat(0).st_mode):
            threading.Thread(target=watch_stdin, name="stdin", daemon=True).start()


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
