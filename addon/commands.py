"""Stepsmith without a window: ``blender -b FILE.blend --command stepsmith dance SONG --rig OBJECT -o OUT.blend``."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import bpy

from ..retarget.errors import RigError, StepsmithError
from ..retarget.files import load_motion
from . import arguments, controls, preferences, session
from .arguments import How
from .capture_task import CaptureTask, VideoRequest, problems_of
from .crowd import Formation, Variation, dance_together, variations
from .dance_task import Connection, Dance, DanceTask, Request, Status, Task, is_there, wait_for
from .operators import apply_dance
from .panel import time_left
from .rig_files import Check, refuse_linked, show_scene_with
from .rig_to_rig import actions_of, retarget_action, retarget_actions
from .scene import apply_motion
from .steering import read_controls

_CANCELLED = 130  # what shells give a program ended by Ctrl-C
_LARGEST_SEED = 2**31 - 1
_TOGETHER = ("another-each", "mirror-every-second", "delay", "formation", "spacing")  # options of several dancers

_handle: object = None


def register() -> None:
    global _handle
    if hasattr(bpy.utils, "register_cli_command"):  # not in the bpy module, which has no command line
        _handle = bpy.utils.register_cli_command("stepsmith", run)


def unregister() -> None:
    if _handle is not None:
        bpy.utils.unregister_cli_command(_handle)


def run(arguments: Sequence[str]) -> int:
    """Do what the command line asks; the process's exit code. Errors go to stderr as one sentence."""
    try:
        wishes = _parser().parse_args(list(arguments))
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    try:
        with _interruptible():
            wishes.do(wishes)
    except KeyboardInterrupt:
        print("stepsmith: cancelled, nothing was written.", file=sys.stderr)
        return _CANCELLED
    except Exception as error:
        if wishes.verbose:
            traceback.print_exc()
        _warn([str(error) if isinstance(error, StepsmithError) else _unforeseen(error)])
        return 1
    finally:
        session.current.backend.stop()
    return 0


def _dance(wishes: argparse.Namespace) -> None:
    """Generate, apply and save. Whatever can be wrong with the wishes is said before the work."""
    out = Path(wishes.out).absolute()
    _check_output(out)
    song = Path(wishes.song).absolute()
    if not is_there(song):
        raise StepsmithError(f"There is no song {wishes.song}: check the path.")
    how = arguments.read(wishes)
    rigs = _find_rigs(wishes.rig, how.options_for)
    varied = _variations(wishes, rigs)
    genre, changes = controls.split_genres(wishes.genre)
    request = Request(song, genre, wishes.seed, wishes.start, wishes.duration, wishes.bpm, wishes.meter)
    dancers = rigs if wishes.another_each else [*rigs[:1]] or [None]
    if request.seed + len(dancers) - 1 > _LARGEST_SEED:
        raise StepsmithError(f"The seeds of {len(dancers)} dances pass {_LARGEST_SEED}: give a smaller --seed.")
    requests = [
        replace(request, seed=request.seed + k, controls=_controls(wishes, changes, dancer, how))
        for k, dancer in enumerate(dancers)
    ]
    connection = Connection(command=wishes.backend) if wishes.backend else preferences.connection()
    dances = _make(connection, requests)
    _put_on(rigs, dances if wishes.another_each else dances * max(len(rigs), 1), varied, how, out)


def _capture(wishes: argparse.Namespace) -> None:
    """Capture the dancer of a video, apply and save."""
    out = Path(wishes.out).absolute()
    _check_output(out)
    video = Path(wishes.video).absolute()
    if not is_there(video):
        raise StepsmithError(f"There is no video {wishes.video}: check the path.")
    how = arguments.read(wishes)
    rigs = _find_rigs(wishes.rig, how.options_for)
    varied = _variations(wishes, rigs)
    request = VideoRequest(video, wishes.person, wishes.start, wishes.duration)
    connection = Connection(command=wishes.backend) if wishes.backend else preferences.connection()
    task = CaptureTask(session.current.backend, connection, request)
    dance = _finish(task, partial(_print_progress, ""))
    _warn(problem.text for problem in problems_of(dance.motion))
    _put_on(rigs, [dance] * max(len(rigs), 1), varied, how, out)


def _put_on(
    rigs: Sequence[bpy.types.Object], dances: Sequence[Dance], varied: Sequence[Variation], how: How, out: Path
) -> None:
    """Each rig's dance onto it, or the one dance onto a new character where there is none; and save."""
    if len(rigs) > 1:
        _apply_to_all(rigs, dances, varied, how)
    else:
        armature, result = apply_dance(bpy.context, dances[0], rigs[0] if rigs else None, how.options_for)
        rigs = [armature]
        _warn(result.told)
    save(out)
    print(f"{_told(rigs, max(dance.motion.duration for dance in dances))} in {out}", flush=True)


def _controls(
    wishes: argparse.Namespace, changes: tuple[tuple[float, str], ...], dancer: bpy.types.Object | None, how: How
) -> controls.Controls:
    """What the command line asks of the dance of this rig, or of a new character where None."""
    asked = read_controls(
        bpy.context,
        dancer,
        energy=wishes.energy,
        loop=wishes.loop,
        radius=wishes.radius,
        candidates=wishes.candidates,
        keep=wishes.keep,
        mirror=how.options.mirror,
        bone_map=None if dancer is None else how.bone_map(dancer),
    )
    return replace(asked, changes=changes)


def _make(connection: Connection, requests: Sequence[Request]) -> list[Dance]:
    """The dances asked for, one after another. Raises what went wrong with the first that did."""
    dances: list[Dance] = []
    for request in requests:
        task = DanceTask(session.current.backend, connection, request)
        of_all = f" (dance {len(dances) + 1} of {len(requests)})" if len(requests) > 1 else ""
        dances.append(_finish(task, partial(_print_progress, of_all)))
    return dances


def _finish(task: Task, report: Callable[[Status], None]) -> Dance:
    """Wait for the task; whatever interrupts that stops it. Raises what ended it."""
    try:
        return wait_for(task, report)
    except BaseException:
        task.cancel()
        task.wait(5.0)
        raise


def _apply_to_all(
    rigs: Sequence[bpy.types.Object], dances: Sequence[Dance], varied: Sequence[Variation], how: How
) -> None:
    """Each rig's dance onto it. Raises RigError where one of them can't dance it."""
    crowd = dance_together(
        bpy.context,
        rigs,
        [dance.motion for dance in dances],
        varied,
        song=dances[0].song,
        song_start=dances[0].start,
        options=[how.options_for(rig) for rig in rigs],
    )
    if crowd.errors:
        raise RigError(" ".join(f"{name}: {text}" for name, text in crowd.errors.items()))
    _warn(crowd.told)
    _warn(dict.fromkeys(text for dance in dances for text in controls.told_of(dance.motion)))


def _variations(wishes: argparse.Namespace, rigs: Sequence[bpy.types.Object]) -> list[Variation]:
    """Each rig's variation. Raises StepsmithError where what was asked for takes several rigs, or one."""
    given = [option for option in _TOGETHER if getattr(wishes, option.replace("-", "_")) not in (None, False)]
    if given and len(rigs) < 2:
        raise StepsmithError(f"--{given[0]} is for several dancers: name each with a --rig of its own.")
    if wishes.place is not None and len(rigs) > 1:
        raise StepsmithError("Several dancers can't all begin at one --place: give a --formation, or nothing.")
    if wishes.spacing is not None and wishes.formation in (None, "keep"):
        raise StepsmithError("--spacing is that of a formation: add --formation line or --formation circle.")
    return variations(
        [tuple(rig.matrix_world.translation[:2]) for rig in rigs],
        mirror=wishes.mirror_every_second,
        delay=wishes.delay or 0.0,
        formation=wishes.formation or "keep",
        spacing=wishes.spacing or 1.5,
    )


def _told(rigs: Sequence[bpy.types.Object], seconds: float) -> str:
    """What was made."""
    *others, last = (rig.name for rig in rigs)
    return f"{', '.join(others)} and {last} dance {seconds:.1f} s" if others else f"{last} dances {seconds:.1f} s"


def _retarget(wishes: argparse.Namespace) -> None:
    """Put a motion file, or what another armature of the file does, on an armature, and save."""
    out = Path(wishes.out).absolute()
    _check_output(out)
    how = arguments.read(wishes)
    rigs = _find_rigs(wishes.rig, how.options_for)
    varied = _variations(wishes, rigs)
    if wishes.source is not None:
        if len(rigs) > 1:
            raise StepsmithError("What another armature does goes to one rig at a time: name one after --rig.")
        made = _retarget_actions(wishes, rigs[0], how)
    else:
        motion = load_motion(Path(wishes.motion))
        if len(rigs) > 1:
            _apply_to_all(rigs, [Dance(motion, None, 0.0)] * len(rigs), varied, how)
        else:
            _warn(apply_motion(bpy.context, rigs[0], motion, options=how.options_for(rigs[0])).told)
        made = _told(rigs, motion.duration)
    save(out)
    print(f"{made} in {out}", flush=True)


def _retarget_actions(wishes: argparse.Namespace, target: bpy.types.Object, how: How) -> str:
    """From one armature to another; what was made."""
    context = bpy.context
    source = _find_rig(context.scene, wishes.source, How().bone_map, "--source")
    options = how.options_for(target)
    if wishes.all_actions:
        actions = actions_of(source)
        if not actions:
            raise StepsmithError(f"No action moves a bone of {source.name}: name another armature after --source.")
        batch = retarget_actions(context, source, target, actions, options=options)
        _warn(f"{name}: {text}" for name, text in batch.errors.items())
        _warn(batch.told)
        if not batch.results:
            raise StepsmithError(f"None of the {len(actions)} actions could be retargeted: see the reasons above.")
        return f"{target.name} has {len(batch.results)} new actions, {len(batch.errors)} failed,"
    action = None if wishes.action is None else bpy.data.actions.get(wishes.action)
    if wishes.action is not None and action is None:
        raise StepsmithError(f"There is no action {wishes.action}: name one of the file's after --action.")
    _warn(retarget_action(context, source, target, action, options=options).told)
    return f"{target.name} does what {source.name} does"


def _unforeseen(error: Exception) -> str:
    """A defect of ours, in one sentence."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"An unexpected error stopped the work ({what}): report it with what --verbose shows."


def _warn(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        print(f"stepsmith: {sentence}", file=sys.stderr)


def save(out: Path) -> None:
    """Save the open file as ``out``: beside it first, then renamed, so that no half file is ever left."""
    handle, name = tempfile.mkstemp(prefix=f".{out.stem}-", suffix=".blend", dir=out.parent)
    os.close(handle)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=name, copy=True, check_existing=False)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, out)
    except (RuntimeError, OSError) as error:
        reason = str(error).removeprefix("Error: ").strip()
        raise StepsmithError(f"{out} can't be saved ({reason}): choose another place.") from error
    finally:
        for left in (name, f"{name}1", f"{name}@"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(left)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="blender -b FILE.blend --command stepsmith", description="Stepsmith")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    dance = commands.add_parser("dance", help="make a dance for a song and save the file with it")
    dance.set_defaults(do=_dance)
    dance.add_argument("song", metavar="SONG", help="any sound file, or a video for its sound")
    dance.add_argument("-o", "--out", required=True, metavar="OUT.blend", help="the file to save")
    dance.add_argument(
        "--rig",
        action="append",
        default=[],
        metavar="OBJECT",
        help="the armature that dances, once for each of several; without it, a new character",
    )
    dance.add_argument("--seed", type=_count, default=0, help="another number makes another dance")
    dance.add_argument("--start", type=_seconds, default=0.0, help="seconds into the song")
    dance.add_argument("--duration", type=_seconds, help="seconds; without it, to the song's end")
    dance.add_argument("--bpm", type=_tempo, help="the song's tempo, where the one found by itself is wrong")
    dance.add_argument("--meter", type=_meter, help="the song's beats a bar, where those found are wrong")
    dance.add_argument("--backend", metavar="COMMAND", help="the stepsmith program, instead of the preferences' one")
    controls.add_options(dance)
    capture = commands.add_parser("capture", help="capture the dancer of a video and save the file with it")
    capture.set_defaults(do=_capture)
    capture.add_argument("video", metavar="VIDEO", help="a video of one dancer, of any kind")
    capture.add_argument("-o", "--out", required=True, metavar="OUT.blend", help="the file to save")
    capture.add_argument(
        "--rig",
        action="append",
        default=[],
        metavar="OBJECT",
        help="the armature that dances, once for each of several; without it, a new character",
    )
    capture.add_argument(
        "--person",
        type=_person,
        metavar="N",
        help="whom to follow where there are several, from the left, those much smaller last; the first: 1",
    )
    capture.add_argument(
        "--start",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="where in the video the part to capture begins",
    )
    capture.add_argument(
        "--duration", type=_seconds, metavar="SECONDS", help="how long that part is; without it, to the video's end"
    )
    capture.add_argument("--backend", metavar="COMMAND", help="the stepsmith program, instead of the preferences' one")
    retarget = commands.add_parser(
        "retarget", help="put a motion file, or what another armature does, on an armature and save the file"
    )
    retarget.set_defaults(do=_retarget)
    what = retarget.add_mutually_exclusive_group(required=True)
    what.add_argument("motion", nargs="?", metavar="MOTION", help="a motion file: .npz, .pkl or .bvh")
    what.add_argument("--source", metavar="OBJECT", help="the armature whose motion is taken")
    retarget.add_argument(
        "--rig",
        action="append",
        required=True,
        metavar="OBJECT",
        help="the armature that dances, once for each of several that a motion file is put on",
    )
    which = retarget.add_mutually_exclusive_group()
    which.add_argument("--action", metavar="NAME", help="the source's action; without it, all that moves it now")
    which.add_argument("--all-actions", action="store_true", help="each of the source's actions into a new one")
    retarget.add_argument("-o", "--out", required=True, metavar="OUT.blend", help="the file to save")
    for command in (dance, capture, retarget):
        arguments.add_options(command)
        _add_together(command, each=command is dance)
        command.add_argument("--verbose", action="store_true", help="show where in the program an error arose")
    return parser


def _add_together(parser: argparse.ArgumentParser, *, each: bool) -> None:
    """How several dance together; ``each``: whether another dance can be made for each."""
    group = parser.add_argument_group("several dancers")
    if each:
        group.add_argument("--another-each", action="store_true", help="another dance each, with seeds counted on")
    group.add_argument("--mirror-every-second", action="store_true", help="every second one dances mirrored")
    group.add_argument(
        "--delay", type=_seconds, metavar="SECONDS", help="how much later each begins than the one before"
    )
    group.add_argument("--formation", choices=get_args(Formation), help="where they begin; keep: where they stand")
    group.add_argument(
        "--spacing", type=_spacing, metavar="DISTANCE", help="between neighbours in a formation, scene units; 1.5"
    )
    parser.set_defaults(another_each=False)


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= (value := int(text)) <= _LARGEST_SEED:
            return value
    raise argparse.ArgumentTypeError(f"{text} is no whole number from 0 to {_LARGEST_SEED}")


def _person(text: str) -> int:
    if value := _count(text):
        return value
    raise argparse.ArgumentTypeError("persons are counted from 1")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.0 <= (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"{text} is no number from 0 on")


def _tempo(text: str) -> float:
    if value := _seconds(text):
        return value
    raise argparse.ArgumentTypeError("0 is no tempo")


def _spacing(text: str) -> float:
    if value := _seconds(text):
        return value
    raise argparse.ArgumentTypeError("dancers can't all stand 0 apart")


def _meter(text: str) -> int:
    if 2 <= (value := _count(text)) <= 12:
        return value
    raise argparse.ArgumentTypeError(f"a bar has between 2 and 12 beats, not {value}")


def _check_output(out: Path) -> None:
    if out.suffix.lower() != ".blend":
        raise StepsmithError(f"{out.name} is no .blend file: end the name after -o in .blend.")
    if not out.parent.is_dir():
        raise StepsmithError(f"The folder {out.parent} doesn't exist: make it first.")
    if out.is_dir():
        raise StepsmithError(f"{out} is a folder: choose another name after -o.")
    if not os.access(out.parent, os.W_OK):
        raise StepsmithError(f"The folder {out.parent} can't be written to: choose another one.")


def _find_rigs(names: Sequence[str], check: Check) -> list[bpy.types.Object]:
    """The armatures of those names, every one of which passes ``check``; theirs is the open scene then.

    Raises RigError.
    """
    if twice := [name for at, name in enumerate(names) if name in names[:at]]:
        raise RigError(f"{twice[0]} is named twice: name every dancer once after --rig.")

    def checked(ob: bpy.types.Object) -> None:
        try:
            check(ob)
        except RigError as error:
            raise RigError(f"{ob.name}: {error}") from error

    if names:
        show_scene_with(names[0])
    return [_find_rig(bpy.context.scene, name, checked if len(names) > 1 else check) for name in names]


def _find_rig(scene: bpy.types.Scene, name: str, check: Check, option: str = "--rig") -> bpy.types.Object:
    """The armature of that name, which passes ``check``. Raises RigError."""
    ob = scene.objects.get(name)
    if ob is None:
        refuse_linked(name)
    if ob is None or ob.type != "ARMATURE":
        there = ", ".join(sorted(other.name for other in scene.objects if other.type == "ARMATURE")) or "none"
        what = "is no armature" if ob else "is not in the scene"
        raise RigError(f"{name} {what}: name one of its armatures after {option} ({there}).")
    check(ob)
    return ob


def _print_progress(of_all: str, status: Status) -> None:
    if not status.over:
        left = "" if status.eta is None else f", {time_left(status.eta)}"
        print(f"{status.fraction:4.0%} {status.text}{of_all}{left}", flush=True)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C as KeyboardInterrupt: in the background Blender would only note it, for its own renders."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
