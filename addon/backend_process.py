"""The backend as a child process: ``stepsmith serve`` on this machine, ending with Blender. No bpy here."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from ..retarget.errors import StepsmithError
from .client import check_api

_START_TIMEOUT = 120.0  # seconds; the first start reads some hundred megabytes of libraries from a cold disk
_STOP_TIMEOUT = 5.0
_STDERR_LINES = 40

INSTALL_COMMAND = (
    r"py -3.11 -m venv .venv && .venv\Scripts\pip install ."
    if sys.platform == "win32"
    else "python3.11 -m venv .venv && .venv/bin/pip install ."
)


class MissingBackendError(StepsmithError):
    """There is no ``stepsmith`` command to start."""


class BackendProcess:
    """A ``stepsmith serve``, spawned by ``start``; once ``wait_until_ready`` returned, ``url`` and ``token``
    open it. ``stop`` ends it at any time, from any thread.
    """

    def __init__(self, process: subprocess.Popen[str], token: str) -> None:
        self._process = process
        self._complaints: deque[str] = deque(maxlen=_STDERR_LINES)
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.token = token
        self.url = ""
        # Pipes are read on threads, for as long as they live: a full pipe would stop the backend.
        threading.Thread(target=self._read_output, name="stepsmith-output", daemon=True).start()
        self._complaining = threading.Thread(target=self._read_complaints, name="stepsmith-errors", daemon=True)
        self._complaining.start()

    @classmethod
    def start(cls, command: str, data: Path | None) -> BackendProcess:
        """Spawn the backend; it is not ready yet.

        ``command``: the program, by name or path, perhaps with arguments. ``data``: the folder it keeps
        songs and dances in, or None for its own choice.

        Raises MissingBackendError, or StepsmithError where the program can't be run.
        """
        words = _resolve(command)
        token = secrets.token_urlsafe(32)
        arguments = [*words, "serve", "--port", "0", "--parent", str(os.getpid())]
        if data is not None:
            arguments += ["--data", str(data)]
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,  # never written: its end tells the backend that Blender is gone
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=_environment(token),
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                # Ctrl-C in the terminal is Blender's affair; Blender then ends the backend in order.
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            raise StepsmithError(
                f"The backend {words[0]} can't be started ({error.strerror}): check the command in the preferences."
            ) from error
        return cls(process, token)

    def wait_until_ready(self) -> None:
        """Wait for the backend's address. Blocks, for a minute or two at worst: call it on a thread.

        Raises VersionError, or StepsmithError with the backend's last words; the process is ended then.
        """
        try:
            self._read_address()
        except StepsmithError:
            self.stop()
            raise

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def last_words(self) -> str:
        """The last line the backend wrote to its error stream, or how it ended."""
        if not self.alive:
            self._complaining.join(1.0)
        for line in reversed(self._complaints):
            if line.strip():
                return line.strip()
        code = self._process.poll()
        if code is None:
            return "it said nothing"
        return f"it was killed by signal {-code}" if code < 0 else f"it ended with code {code}"

    def stop(self) -> None:
        """End the backend; returns once it is gone."""
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self.alive:
            self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if os.name == "posix":  # and what it started itself, if it left something behind
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _read_address(self) -> None:
        try:
            line = self._lines.get(timeout=_START_TIMEOUT)
        except queue.Empty:
            raise StepsmithError(
                f"The backend was not ready within {_START_TIMEOUT:.0f} seconds: {self.last_words}"
            ) from None
        if line is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT)
            raise StepsmithError(f"The backend did not start: {self.last_words}")
        try:
            ready = json.loads(line)
            check_api(ready["stepsmith"], ready["api"])
            self.url = f"http://127.0.0.1:{int(ready['port'])}"
        except (ValueError, KeyError, TypeError):
            raise StepsmithError(
                f"The backend command answered {line.strip()[:80]!r}, which is not Stepsmith's:"
                " check the command in the preferences."
            ) from None

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_complaints(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._complaints.append(line)


def _resolve(command: str) -> list[str]:
    """The command's words, the first of them an existing program."""
    words = _split(os.path.expanduser(command.strip()))
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise MissingBackendError(
            f"The backend {command.strip() or 'command'!r} was not found: in a copy of Stepsmith's source run"
            f" “{INSTALL_COMMAND}”, then choose the stepsmith program in that .venv in the add-on's preferences."
        )
    return [program, *words[1:]]


def _split(text: str) -> list[str]:
    """A command's words; none where it has a quotation mark that nothing closes."""
    if shutil.which(text):  # taken whole first, since a path may hold spaces and apostrophes
        return [text]
    try:
        return shlex.split(text, posix=os.name == "posix")
    except ValueError:
        return []


def _environment(token: str) -> dict[str, str]:
    """This process's environment with the token, without what points Python at Blender's own libraries."""
    hidden = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**environment, "STEPSMITH_TOKEN": token, "PYTHONUTF8": "1"}
