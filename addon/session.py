"""What the interface knows while Blender runs: the backend, the dance on its way, the last one made.

None of it lives in a .blend file, so opening another file neither loses a dance nor stops it. All of it
is touched by the main thread alone; a task's thread replaces nothing but the ``status`` of its task.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import bpy

from ..retarget.errors import StepsmithError
from ..retarget.files import load_motion
from . import preferences
from .body import build_body
from .capture_task import CaptureTask, VideoRequest
from .dance_task import Backend, Connection, Dance, DancesTask, DanceTask, Request, Status, Task, is_there

NEW_CHARACTER = 0  # in place of an armature's session_uid, which starts at 1
PANEL_TARGET = -1

# Seconds between two ticks: short while something moves, growing while nothing does. An idle Blender has
# no timer of ours at all.
_SHORTEST_TICK, _LONGEST_TICK = 0.1, 0.5
_LONGEST_SONG = 86_400.0  # seconds


@dataclass(frozen=True)
class Place:
    """Where a dance goes, by ``session_uid``: pointers don't survive undo, names don't survive renaming."""

    scene: int
    armature: int  # or NEW_CHARACTER
    armature_name: str


@dataclass(frozen=True)
class Dancers:
    """Dances made for several armatures, by ``session_uid``, and why others got none, by name."""

    dances: dict[int, Dance] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


class Applied(NamedTuple):
    """Where a dance is: in the ``scene`` with this session_uid, from frame ``first`` on, keyed at ``fps``."""

    scene: int
    first: int
    fps: float


class Session:
    """The state behind the panel."""

    def __init__(self) -> None:
        self.backend = Backend()
        self.task: Task | DancesTask | None = None
        self.last: Dance | None = None
        self.last_at: Applied | None = None  # once the last dance is applied
        self.dancers = Dancers()
        self.error = ""
        self.note = ""
        # For one redraw after a task: under the mouse, Blender takes a message's box for the progress bar
        # it follows and fills it in the bar's colour; so messages wait until the bar is gone.
        self.settling = False
        self._place: Place | tuple[Place, ...] | None = None
        self._building: threading.Thread | None = None  # makes the new character's body
        self._drawn: object = None
        self._tick_length = _SHORTEST_TICK

    @property
    def status(self) -> Status | None:
        """The running task's status; None where nothing runs."""
        return self.task.status if self.task else None

    @property
    def captures(self) -> bool:
        """Whether what runs is the capture of a video."""
        return isinstance(self.task, CaptureTask)

    def begin(self, connection: Connection, request: Request | VideoRequest, place: Place) -> None:
        """Start making a dance, or capturing one; the result is applied when it is there."""
        if isinstance(request, VideoRequest):
            self.task = CaptureTask(self.backend, connection, request, keep_as=_kept_file())
        else:
            self.task = DanceTask(self.backend, connection, request, keep_as=_kept_file())
        self._follow(place)
        if place.armature == NEW_CHARACTER:
            # Made of numpy alone and kept: the tick that applies the dance finds it ready.
            self._building = threading.Thread(target=build_body, name="stepsmith-body", daemon=True)
            self._building.start()

    def begin_each(self, connection: Connection, requests: Sequence[Request], places: Sequence[Place]) -> None:
        """Start making a dance of its own for each armature of a scene, applied together once all are there."""
        self.task = DancesTask(self.backend, connection, requests, keep_as=_kept_file())
        self._follow(tuple(places))

    def _follow(self, place: Place | tuple[Place, ...]) -> None:
        self.error = self.note = ""
        self._place, self._tick_length = place, _SHORTEST_TICK
        if not bpy.app.timers.is_registered(_tick):
            bpy.app.timers.register(_tick, first_interval=_SHORTEST_TICK, persistent=True)

    def cancel(self) -> None:
        """Stop the running task; a dance that is ready and waits is kept as the last one."""
        if self.task is None:
            return
        self.task.cancel()
        if self.task.status.over:
            self.task = self._place = None
            self.note = ""

    def last_dance(self) -> Dance | None:
        """The last dance made, in an earlier run of Blender too."""
        if self.last is None:
            file = _kept_file()
            if file is not None and is_there(file):
                with contextlib.suppress(StepsmithError):
                    self.last = read_dance(file)
        return self.last

    def has_last_dance(self) -> bool:
        """Cheap enough to be asked at every redraw."""
        file = _kept_file()
        return self.last is not None or (file is not None and is_there(file))

    def close(self) -> None:
        """End the backend and whatever runs."""
        if bpy.app.timers.is_registered(_tick):
            bpy.app.timers.unregister(_tick)
        if self.task:
            self.task.cancel()
        self.backend.close()

    def tick(self) -> float | None:
        """Look at the task once, a few microseconds while it runs; seconds to the next look, or None.

        The one long tick is the last, which applies the dance: some tenths of a second for a whole song.
        """
        if self.task is None:
            self.settling = False
            self.redraw()
            return None
        status = self.task.status
        if status.over and self._is_alone() and self._finish(status):
            self.task = self._place = None
            self.settling = True
            self.redraw()
            return _SHORTEST_TICK
        seen = (status, self.note)
        self._tick_length = _SHORTEST_TICK if seen != self._drawn else min(self._tick_length * 1.5, _LONGEST_TICK)
        if seen != self._drawn:
            self._drawn = seen
            self.redraw()
        return self._tick_length

    def _is_alone(self) -> bool:
        """Whether none of our threads is at work any more.

        Operators let go of Python's lock, and up to Blender 5.0 look into their context's dictionary without taking it
        where another thread has it: Blender crashed now and then while the new character's body was made.
        """
        assert self.task is not None
        return self.task.wait(0.0) and not (self._building and self._building.is_alive())

    def redraw(self) -> None:
        """Have the sidebars of all 3D views drawn again."""
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "VIEW_3D":
                    for region in area.regions:
                        if region.type == "UI":
                            region.tag_redraw()

    def _finish(self, status: Status) -> bool:
        """Take a finished task's result; False where it can't be applied just now."""
        if status.dance is None:
            self.error = status.error or ""
            return True
        self.last, self.last_at = status.dance, None
        place = self._place[0] if isinstance(self._place, tuple) else self._place
        assert place is not None
        scene = next((s for s in bpy.data.scenes if s.session_uid == place.scene), None)
        if scene is None:
            self.error = "The file this dance was made for is closed: apply it here with Apply Last Dance."
            return True
        window = next((w for w in bpy.context.window_manager.windows if w.scene == scene), None)
        reason = _busy(window) if window else f"show its scene {scene.name} again"
        if window is None or reason:
            self.note = f"The dance is ready and waits: {reason}."
            return False
        self.note = ""
        if isinstance(self.task, DancesTask) and isinstance(self._place, tuple):
            self.dancers = _made_for(scene, self._place, self.task)
            self._run(window, "dance_together", each=True)
            return True
        if place.armature != NEW_CHARACTER and find_armature(scene, place.armature) is None:
            self.error = (
                f"{place.armature_name} was deleted while its dance was made: choose another armature"
                " and press Apply Last Dance."
            )
            return True
        self._run(window, "apply_dance", armature=place.armature)
        return True

    def _run(self, window: bpy.types.Window, operator: str, **properties: int | bool) -> None:
        # Run as an operator with its undo push (the True), the whole result is one undo step. Operators
        # need a window, which a timer's context has not.
        try:
            with bpy.context.temp_override(window=window):
                getattr(bpy.ops.stepsmith, operator)("EXEC_DEFAULT", True, **properties)
        except RuntimeError as error:  # what the operator reported, or a failure nobody foresaw
            self.error = self.error or f"The dance could not be applied, but it is kept ({str(error).strip()})."


def _made_for(scene: bpy.types.Scene, places: Sequence[Place], task: DancesTask) -> Dancers:
    """The dances of those that are still there."""
    dancers = Dancers()
    for at, (place, dance) in enumerate(zip(places, task.dances, strict=True)):
        if dance is None:
            dancers.errors[place.armature_name] = task.errors[at]
        elif find_armature(scene, place.armature) is None:
            dancers.errors[place.armature_name] = "It was deleted while its dance was made."
        else:
            dancers.dances[place.armature] = dance
    return dancers


def find_armature(scene: bpy.types.Scene, uid: int) -> bpy.types.Object | None:
    """The scene's object of this ``session_uid``; a deleted one may live on in bpy.data, out of all scenes."""
    return next((ob for ob in scene.objects if ob.session_uid == uid and ob.type == "ARMATURE"), None)


def read_dance(path: Path) -> Dance:
    """A motion file with the song it was made for, where the file names one that is still there.

    What it says of the song may be anything: it counts where it makes sense.
    """
    motion = load_motion(path)
    song, start = motion.meta.get("song"), motion.meta.get("song_start")
    found = Path(song) if isinstance(song, str) and is_there(song) else None
    if not (isinstance(start, int | float) and abs(start) < _LONGEST_SONG):
        start = 0.0
    return Dance(motion, found, float(start))


def _busy(window: bpy.types.Window) -> str:
    """What the user is in the middle of and a dance must not break into; "" for nothing."""
    if bpy.app.is_job_running("RENDER"):
        return "the render is not finished"
    if any(operator.bl_idname.startswith("TRANSFORM_OT") for operator in window.modal_operators):
        return "finish moving what you are moving"
    # Other modes keep an undo history of their own, in which this step would be lost.
    ob = window.view_layer.objects.active
    if ob is not None and ob.mode not in ("OBJECT", "POSE"):
        return "leave the mode you are in for Object Mode"
    return ""


def _kept_file() -> Path | None:
    folder = preferences.data_folder()
    return None if folder is None else folder / "last_dance.npz"


def _tick() -> float | None:
    return current.tick()


current = Session()


def register() -> None:
    global current
    current = Session()


def unregister() -> None:
    current.close()
