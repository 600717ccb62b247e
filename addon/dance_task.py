"""One dance on its way: a thread that starts the backend, sends the song, waits and fetches the Motion.

No bpy here: the thread touches sockets and files alone, and whoever draws reads ``DanceTask.status``.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from ..retarget.errors import StepsmithError
from ..retarget.files import motion_from_bytes, save_motion
from ..retarget.motion import Motion
from .backend_process import BackendProcess
from .client import CancelledError, Client, ClientError, Health, Job, UnreachableError
from .controls import FIRST_FRAME, Controls

KNOWN_GENRES = ("cha-cha", "rumba", "tango", "waltz")  # until a backend names its own
_UNUSED = "Starts with the first dance"
_UPLOAD_SHARE = 0.05  # of the progress bar
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 0.6  # seconds between two questions about a job, growing
_SHORTEST, _LONGEST = 1.0, 7200.0  # seconds of a dance
_PATIENCE = 20.0  # seconds a backend that lives may stay silent


@dataclass(frozen=True)
class Connection:
    """Where the backend is: a ``command`` to start here, or the ``url`` and ``token`` of one elsewhere.

    ``data``: the folder a backend started here keeps songs and dances in; None: its own choice.
    """

    command: str = "stepsmith"
    url: str = ""
    token: str = ""
    data: Path | None = None


@dataclass(frozen=True)
class Request:
    """What to dance, in seconds, beats a minute, beats a bar.

    ``genre``, ``duration``, ``bpm`` and ``meter`` are None for automatic. ``controls``: further wishes.
    Raises StepsmithError where no dance can be so.
    """

    song: Path
    genre: str | None = None
    seed: int = 0
    start: float = 0.0
    duration: float | None = None
    bpm: float | None = None
    meter: int | None = None
    controls: Controls = field(default_factory=Controls)

    def __post_init__(self) -> None:
        # As the backend has them, which may take a minute to start.
        if self.duration is not None and not _SHORTEST <= self.duration <= _LONGEST:
            raise StepsmithError(
                f"A dance lasts between {_SHORTEST:g} s and {_LONGEST / 3600:g} hours, not {self.duration:.3g} s: give"
                " another duration, or none for the whole song."
            )
        if self.bpm is not None and not 30.0 <= self.bpm <= 300.0:
            raise StepsmithError(
                f"A tempo is between 30 and 300 beats a minute, not {self.bpm:.3g}: give another one, or none to have"
                " it found."
            )
        if self.meter is not None and not 2 <= self.meter <= 12:
            raise StepsmithError(
                f"A bar has between 2 and 12 beats, not {self.meter}: give another number, or none to have it found."
            )


def is_there(file: str | Path) -> bool:
    """Whether the file can be reached.

    ``Path.is_file`` raises OSError where a name is too long for the disk or a folder may not be read.
    """
    return os.path.isfile(file)


@dataclass(frozen=True)
class Dance:
    """A finished dance and the part of the song it belongs to."""

    motion: Motion
    song: Path | None
    start: float

    @property
    def song_at_hand(self) -> Path | None:
        """The song, None where its file can't be reached any more."""
        return self.song if self.song is not None and is_there(self.song) else None


class Backend:
    """The one backend of this Blender: started when first needed, kept until Blender quits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: BackendProcess | None = None
        self._connection: Connection | None = None
        self._closed = False
        self.health: Health | None = None
        self._state = _UNUSED

    @property
    def genres(self) -> tuple[str, ...]:
        return (self.health.genres if self.health else ()) or KNOWN_GENRES

    @property
    def state(self) -> str:
        """How the backend is, for people."""
        process = self._process
        return "Stopped" if process is not None and not process.alive else self._state

    @property
    def pid(self) -> int | None:
        """The child's process id, None where it doesn't run or is elsewhere."""
        return self._process.pid if self._process and self._process.alive else None

    def connect(self, connection: Connection, *, resume: bool = False) -> Client:
        """A client of a backend that answered just now, started if need be. Blocks: call it on a thread.

        A backend takes up the jobs that its last process left; when one is started here they are
        cancelled, since whoever waited for them is gone, unless ``resume``.
        """
        with self._lock:
            if connection != self._connection:
                self.stop()
            self._connection = connection
            try:
                left = False
                if connection.url:
                    self._state = "Connecting"
                    client = Client(connection.url, connection.token)
                else:
                    left = not resume and self.pid is None
                    client = self._start(connection)
                self.health = client.health()
                if left:
                    for job in client.jobs():
                        if not job.over:
                            client.cancel(job.id)
            except Exception:
                self._state = "Not connected"
                raise
            place = f" at {client.host}" if connection.url else ""
            self._state = f"Ready, version {self.health.version}{place}"
            return client

    def died(self) -> str | None:
        """The last words of a child that ended by itself; None while it lives, or where there is none."""
        process = self._process
        return None if process is None or process.alive else process.last_words

    def close(self) -> None:
        """End the child process, if there is one, and start no other."""
        self._closed = True
        self.stop()

    def stop(self) -> None:
        """End the child process, if there is one; the next ``connect`` starts another."""
        # Without the lock: a start that waits for its child holds it, and must not hold up Blender.
        if self._process is not None:
            self._process.stop()
        self._process, self.health, self._state = None, None, _UNUSED

    def _start(self, connection: Connection) -> Client:
        process = self._process
        if process is None or not process.alive:
            self._state = "Starting"
            self._process = process = BackendProcess.start(connection.command, connection.data)
            if self._closed:
                process.stop()
            process.wait_until_ready()
        return Client(process.url, process.token)


@dataclass(frozen=True)
class Status:
    """How far a task is: ``fraction`` in 0..1, ``eta`` in seconds or None, ``error`` one sentence or None."""

    fraction: float = 0.0
    text: str = "Starting the backend"
    eta: float | None = None
    error: str | None = None
    cancelled: bool = False
    dance: Dance | None = None

    @property
    def over(self) -> bool:
        return self.error is not None or self.cancelled or self.dance is not None


class Work(ABC):
    """What a thread of its own does. Read ``status`` from anywhere; ``cancel`` to stop it.

    The status is replaced as a whole, so that a reader never sees half of it: by the thread, and by who cancels.
    Once cancelled only its last one replaces it, and that nothing.
    """

    def __init__(self) -> None:
        self._status = Status()
        self._replacing = threading.Lock()
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stepsmith-work", daemon=True)

    @abstractmethod
    def _run(self) -> None:
        """Do it, to a status that is over."""

    @property
    def status(self) -> Status:
        return self._status

    def cancel(self) -> None:
        with self._replacing:
            if not self._status.over:
                self._cancel.set()
                self._status = replace(self._status, text="Cancelling", eta=None)

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; True once it is over and the thread gone."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _report(self, status: Status) -> None:
        with self._replacing:
            if status.over or not self._cancel.is_set():
                self._status = status


class Task(Work):
    """Has the backend make a motion.

    A kind of task says what the backend is asked, and what becomes of the motion it made.
    """

    source = "song"  # what the backend is sent, in a word

    def __init__(self, backend: Backend, connection: Connection, keep_as: Path | None) -> None:
        super().__init__()
        self._backend, self._connection, self._keep_as = backend, connection, keep_as
        self._restarted = False
        self._thread.start()

    def _run(self) -> None:
        try:
            self._report(Status(fraction=1.0, text="Done", dance=self._dance()))
        except CancelledError:
            self._report(Status(text="Cancelled", cancelled=True))
        except StepsmithError as error:
            self._report(Status(error=str(error)))
        except Exception as error:  # a thread's exception would vanish, and the bar stand still for ever
            self._report(Status(error=f"An unexpected error stopped the dance ({type(error).__name__}: {error})."))

    def _dance(self) -> Dance:
        client = self._connect()
        job = self._begin(client)
        while True:
            try:
                self._follow(client, job)
                motion = motion_from_bytes(client.motion(job.id))
                break
            except UnreachableError:
                client = self._restart()
                try:
                    client.job(job.id)  # a backend keeps its jobs and takes them up again
                except ClientError:
                    job = self._begin(client)
        dance = self._made(motion)
        if self._keep_as is not None:
            # A full disk is no reason to lose the dance itself, which goes on to the scene.
            with contextlib.suppress(OSError, StepsmithError):
                self._keep_as.parent.mkdir(parents=True, exist_ok=True)
                save_motion(self._keep_as, dance.motion)
        return dance

    def _begin(self, client: Client) -> Job:
        """Queue the job, on another backend process if this one breaks down."""
        while True:
            try:
                return self._ask(client)
            except UnreachableError:
                client = self._restart()

    @abstractmethod
    def _ask(self, client: Client) -> Job:
        """Hand over what is needed and queue the job."""

    @abstractmethod
    def _made(self, motion: Motion) -> Dance:
        """The dance, of the motion that the backend made; its ``meta`` says what it belongs to."""

    def _follow(self, client: Client, job: Job) -> None:
        """Report a job's progress until it is done. Raises what ended it otherwise.

        Asks again and again rather than listen to a stream: a question answered late costs nothing here,
        and a proxy or a sleeping laptop between the two can't cut it off unnoticed.
        """
        wait, heard = _FIRST_WAIT, time.monotonic()
        before: Job | None = None
        while True:
            try:
                job = client.job(job.id)
                heard = time.monotonic()
            except UnreachableError:
                if self._backend.died() is not None or time.monotonic() - heard > _PATIENCE:
                    raise
            if job.state == "done":
                self._report(Status(1.0, "Fetching the dance"))
                return
            if job.state == "failed":
                raise StepsmithError(job.error or "The backend failed and gave no reason: try again.")
            if job.state == "cancelled":
                raise CancelledError("Cancelled.")
            fraction = _UPLOAD_SHARE + (1.0 - _UPLOAD_SHARE) * job.progress
            self._report(Status(fraction, job.text or "Waiting for its turn", job.eta))
            wait = _FIRST_WAIT if job != before else min(wait * 1.5, _LONGEST_WAIT)
            before = job
            if self._cancel.wait(wait):
                client.cancel(job.id)
                raise CancelledError("Cancelled.")

    def _connect(self, *, resume: bool = False) -> Client:
        client = self._backend.connect(self._connection, resume=resume)
        self._check_cancelled()
        return client

    def _restart(self) -> Client:
        """Connect again after the backend went away: once, then say so."""
        last_words = self._backend.died()
        if last_words is None:
            raise UnreachableError("The backend doesn't answer any more: check that it runs, then generate again.")
        if self._restarted:
            raise StepsmithError(
                f"The backend stopped twice during this work ({last_words}): close other programs or choose a"
                f" shorter part of the {self.source}, then try again."
            )
        self._restarted = True
        self._report(replace(self.status, text="The backend stopped; starting it again", eta=None))
        return self._connect(resume=True)

    def _uploading(self, share: float) -> None:
        self._check_cancelled()
        doing = "Reading" if share == 0.0 else "Sending"
        self._report(Status(_UPLOAD_SHARE * share, f"{doing} the {self.source}"))

    def _check_cancelled(self) -> None:
        if self._cancel.is_set():
            raise CancelledError("Cancelled.")


class DanceTask(Task):
    """Makes the dance of one Request."""

    def __init__(self, backend: Backend, connection: Connection, request: Request, keep_as: Path | None = None) -> None:
        self.request = request
        super().__init__(backend, connection, keep_as)

    def _ask(self, client: Client) -> Job:
        request = self.request
        song = client.upload(request.song, self._uploading)
        for kept in request.controls.keep:
            client.send(kept.data, kept.name)
        asked = request.controls.wishes()
        return client.dance(
            song,
            genre=request.genre,
            seed=request.seed,
            start=request.start,
            duration=request.duration,
            bpm=request.bpm,
            meter=request.meter,
            # A wish that is none is left out: an older backend would not know it.
            **({"controls": asked} if asked else {}),
        )

    def _made(self, motion: Motion) -> Dance:
        request = self.request
        motion = motion.with_meta(song=str(request.song), song_start=request.start)
        if request.controls.first_frame is not None:
            motion = motion.with_meta(**{FIRST_FRAME: request.controls.first_frame})
        return Dance(motion, request.song, request.start)


class DancesTask(Work):
    """Runs several Requests one after another.

    It is over when all are there; ``dances`` holds None for one that failed, and ``errors`` why, by its place.
    Where all fail, the status has the first one's error, and else the first dance.
    """

    def __init__(
        self, backend: Backend, connection: Connection, requests: Sequence[Request], keep_as: Path | None = None
    ) -> None:
        super().__init__()
        self.requests = tuple(requests)
        self.dances: list[Dance | None] = [None] * len(self.requests)
        self.errors: dict[int, str] = {}
        self._backend, self._connection, self._keep_as = backend, connection, keep_as
        self._task: DanceTask | None = None
        self._thread.start()

    def cancel(self) -> None:
        super().cancel()
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        for at, request in enumerate(self.requests):
            # Only the first is kept as the last dance made.
            keep_as = None if any(self.dances) else self._keep_as
            self._task = DanceTask(self._backend, self._connection, request, keep_as)
            if self._cancel.is_set():  # before there was a task to cancel
                self._task.cancel()
            try:
                self.dances[at] = wait_for(self._task, partial(self._report_part, at))
            except CancelledError:
                self._report(Status(text="Cancelled", cancelled=True))
                return
            except StepsmithError as error:
                self.errors[at] = str(error)
        made = next((dance for dance in self.dances if dance is not None), None)
        if self._cancel.is_set():
            self._report(Status(text="Cancelled", cancelled=True))
        elif made is None:
            self._report(Status(error=self.errors[0]))
        else:
            self._report(Status(1.0, "Done", dance=made))

    def _report_part(self, at: int, status: Status) -> None:
        if not status.over:
            count = len(self.requests)
            self._report(Status((at + status.fraction) / count, f"Dance {at + 1} of {count}: {status.text}"))


def wait_for(task: Task, report: Callable[[Status], None]) -> Dance:
    """Wait for a task where there are no timers, reporting every change. Raises what ended it."""
    before: Status | None = None
    while True:
        over = task.wait(0.1)
        status = task.status
        if status != before:
            report(status)
            before = status
        if not over:
            continue
        if status.dance is not None:
            return status.dance
        if status.cancelled:
            raise CancelledError("Cancelled.")
        raise StepsmithError(status.error or "The dance ended without a result: try again.")
