"""Speaks to the backend over HTTP: plain sockets, no bpy, so that it may run on threads.

Every call blocks and raises a StepsmithError, whose one sentence is shown to the user as it is.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from .. import __version__
from ..retarget.errors import StepsmithError

API_VERSION = 1
_TIMEOUT = 20.0  # seconds without a byte from the other side
_CHUNK = 1 << 18
_LARGEST_MOTION = 512 << 20  # bytes; an hour of dance is about 60 MB
_LARGEST_ANSWER = 4 << 20


class ClientError(StepsmithError):
    """The backend refused a request; the text is its own reason."""


class UnreachableError(StepsmithError):
    """Nothing answers at the backend's address, or the connection broke."""


class VersionError(StepsmithError):
    """Backend and add-on are of versions that don't understand each other."""


class CancelledError(StepsmithError):
    """The user cancelled."""


@dataclass(frozen=True)
class Health:
    """What a backend says about itself."""

    version: str
    genres: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A job's state as the backend tells it. ``progress`` in 0..1, ``eta`` in seconds or None."""

    id: str
    state: str
    progress: float
    text: str
    eta: float | None
    error: str | None

    @property
    def over(self) -> bool:
        return self.state in ("done", "failed", "cancelled")

    @classmethod
    def from_answer(cls, answer: dict[str, Any]) -> Job:
        try:
            eta = answer.get("eta")
            return cls(
                id=str(answer["id"]),
                state=str(answer["state"]),
                progress=min(max(float(answer.get("progress") or 0.0), 0.0), 1.0),
                text=str(answer.get("text") or ""),
                eta=None if eta is None else float(eta),
                error=answer.get("error"),
            )
        except (KeyError, TypeError, ValueError):
            raise _not_ours() from None


def check_api(version: object, api: object) -> None:
    """Raise VersionError where a backend of this ``version`` speaks another ``api`` than this add-on."""
    if api != API_VERSION:
        raise VersionError(
            f"The backend is Stepsmith {version} and this add-on is {__version__}, which don't understand each other:"
            " install the same version of both."
        )


def song_hash(path: Path, check: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of a file's content in hexadecimal; ``check`` is called between chunks and may raise."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                check()
                digest.update(chunk)
    except OSError as error:
        raise StepsmithError(f"The file {path.name} can't be read ({error.strerror}): choose another file.") from error
    return digest.hexdigest()


class Client:
    """One backend at ``url`` (http or https), opened by ``token``."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise StepsmithError(f"{url!r} is no address of a backend: write it as http://name:port.")
        self._scheme, self._host, self._port, self._path = parts.scheme, parts.hostname, port, parts.path.rstrip("/")
        self._token = token.strip()
        if not (self._token.isascii() and self._token.isprintable()):
            raise StepsmithError("The token holds characters that no token has: copy it again from the backend.")

    @property
    def host(self) -> str:
        return self._host

    def health(self) -> Health:
        """Ask who is there. Raises UnreachableError, VersionError, ClientError."""
        answer = self._json("GET", "/health")
        if "stepsmith" not in answer:
            raise _not_ours()
        check_api(answer.get("stepsmith"), answer.get("api"))
        genres = answer.get("genres")
        return Health(str(answer.get("stepsmith")), tuple(map(str, genres)) if isinstance(genres, list) else ())

    def upload(self, path: Path, progress: Callable[[float], None]) -> str:
        """Hand over a song or a video, unless the backend has it already; returns its id, the SHA-256 of its content.

        ``progress`` gets the share sent, in 0..1, and may raise to stop.
        """
        name = song_hash(path, lambda: progress(0.0))
        status, _ = self._request("HEAD", f"/songs/{name}", accept=(200, 204, 404))
        if status == 404:
            try:
                with path.open("rb") as file:
                    size = path.stat().st_size
                    body = _Counted(file, size, progress)
                    self._request(
                        "PUT",
                        f"/songs/{name}?name={quote(path.name)}",
                        body=body,
                        headers={"Content-Length": str(size), "Content-Type": "application/octet-stream"},
                    )
            except FileNotFoundError as error:
                raise StepsmithError(f"The file {path.name} is gone: choose another file.") from error
        progress(1.0)
        return name

    def send(self, data: bytes, name: str) -> None:
        """Hand over a small file, unless the backend has it already; ``name``: the SHA-256 of its bytes."""
        status, _ = self._request("HEAD", f"/songs/{name}", accept=(200, 204, 404))
        if status == 404:
            self._request("PUT", f"/songs/{name}?name=kept.npz", body=data)

    def dance(self, song: str, **wishes: Any) -> Job:
        """Ask for a dance to an uploaded song; ``wishes``: genre, seed, start, duration, bpm, meter, controls."""
        return Job.from_answer(self._json("POST", "/jobs", {"kind": "dance", "song": song, **wishes}))

    def capture(self, **wishes: Any) -> Job:
        """Ask for the dancer of a video; ``wishes``: video, the id of one that was uploaded as songs are, or file, its
        path on the backend's machine; person, start, duration."""
        return Job.from_answer(self._json("POST", "/jobs", {"kind": "capture", **wishes}))

    def job(self, job_id: str) -> Job:
        return Job.from_answer(self._json("GET", f"/jobs/{job_id}"))

    def jobs(self) -> list[Job]:
        """All jobs the backend remembers."""
        answer = _parsed(self._request("GET", "/jobs")[1])
        if not isinstance(answer, list):
            raise _not_ours()
        return [Job.from_answer(job) for job in answer]

    def cancel(self, job_id: str) -> None:
        self._request("DELETE", f"/jobs/{job_id}", accept=(200, 202, 204, 404, 409))

    def motion(self, job_id: str) -> bytes:
        """The finished dance as the bytes of our .npz."""
        return self._request("GET", f"/jobs/{job_id}/motion", largest=_LARGEST_MOTION)[1]

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        answer = _parsed(self._request(method, path, body=data, headers=headers)[1])
        if not isinstance(answer, dict):
            raise _not_ours()
        return answer

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | _Counted | None = None,
        headers: dict[str, str] | None = None,
        accept: tuple[int, ...] = (200, 201, 202, 204),
        largest: int = _LARGEST_ANSWER,
    ) -> tuple[int, bytes]:
        """One request on a connection of its own; returns status and body where the status is accepted."""
        connection = self._connection()
        sent = {"Authorization": f"Bearer {self._token}", "X-Stepsmith-Api": str(API_VERSION), **(headers or {})}
        try:
            try:
                connection.request(method, self._path + path, body=body, headers=sent)
            except (BrokenPipeError, ConnectionResetError):
                if body is None:
                    raise
                # A server that refuses an upload answers and hangs up before all is sent: its reason follows.
            response = connection.getresponse()
            data = response.read(largest + 1)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            raise UnreachableError(
                f"The backend at {self._host} doesn't answer ({_reason(error)}): check that it runs."
            ) from error
        finally:
            connection.close()
        if len(data) > largest:
            raise ClientError("The backend's answer is larger than any dance should be, so it was not read.")
        if response.status in accept:
            return response.status, data
        answer = _parsed(data)
        answer = answer if isinstance(answer, dict) else {}
        if response.status == 401:
            raise ClientError("The backend refused the token: enter the one it was started with in the preferences.")
        if response.status == 409 and method != "DELETE":
            check_api(answer.get("stepsmith", "of another version"), answer.get("api", "another"))
        if not answer.get("error") and response.status < 500:  # ours says why
            raise _not_ours()
        unexplained = f"The backend answered {response.status} {response.reason} and gave no reason: try again."
        raise ClientError(str(answer.get("error") or unexplained))

    def _connection(self) -> http.client.HTTPConnection:
        if self._scheme == "https":
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=_TIMEOUT, blocksize=_CHUNK, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT, blocksize=_CHUNK)


class _Counted:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, size: int, progress: Callable[[float], None]) -> None:
        self._file, self._size, self._progress, self._done = file, max(size, 1), progress, 0

    def read(self, count: int = -1) -> bytes:
        chunk = self._file.read(count)
        self._done += len(chunk)
        self._progress(min(self._done / self._size, 1.0))
        return chunk


def _parsed(data: bytes) -> Any:
    """The JSON of an answer; None where it is none."""
    try:
        return json.loads(data)
    except ValueError:
        return None


def _not_ours() -> ClientError:
    return ClientError("What answered is no Stepsmith backend: check the address in the add-on's preferences.")


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
