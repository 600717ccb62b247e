"""Stepsmith without a window: ``blender -b FILE.blend --command stepsmith dance SONG --rig OBJECT -o OUT.blend``."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import bpy

from ..retarget.errors import RigError, StepsmithError
from ..retarget.files import load_motion
from . import arguments, preferences, session
from .arguments import How
from .dance_task import Connection, DanceTask, Request, Status, wait_for
from .operators import apply_dance
from .rig_files import Check
from .rig_to_rig import actions_of, retarget_action, retarget_actions
from .scene import apply_motion

_CANCELLED = 130  # what shells give a program ended by Ctrl-C

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
    except StepsmithError as error:
        if wishes.verbose:
            traceback.print_exc()
        print(f"stepsmith: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stepsmith: cancelled, nothing was written.", file=sys.stderr)
        return _CANCELLED
    finally:
        session.current.backend.stop()
    return 0


def _dance(wishes: argparse.Namespace) -> None:
    """Generate, apply and save. Whatever can be wrong with the wishes is said before the work."""
    out = Path(wishes.out).absolute()
    _check_output(out)
    song = Path(wishes.song).absolute()
    if not song.is_file():
        raise StepsmithError(f"There is no song {wishes.song}: check the path.")
    scene = bpy.context.scene
    how = arguments.read(wishes)
    armature = None if wishes.rig is None else _find_rig(scene, wishes.rig, how.options_for)
    request = Request(song, wishes.genre, wishes.seed, wishes.start, wishes.duration, wishes.bpm, wishes.meter)
    connection = Connection(command=wishes.backend) if wishes.backend else preferences.connection()
    task = DanceTask(session.current.backend, connection, request)
    try:
        dance = wait_for(task, _print_progress)
    except BaseException:
        task.cancel()
        task.wait(5.0)
        raise
    dance = replace(dance, motion=how.motion(dance.motion))
    armature, result = apply_dance(bpy.context, dance, armature, how.options_for)
    _warn(result.warnings)
    save(out)
    print(f"{armature.name} dances {dance.motion.duration:.1f} s in {out}", flush=True)


def _retarget(wishes: argparse.Namespace) -> None:
    """Put a motion file, or what another armature of the file does, on an armature, and save."""
    out = Path(wishes.out).absolute()
    _check_output(out)
    how = arguments.read(wishes)
    target = _find_rig(bpy.context.scene, wishes.rig, how.options_for)
    if wishes.source is None:
        motion = how.motion(load_motion(Path(wishes.motion)))
        result = apply_motion(bpy.context, target, motion, options=how.options_for(target))
        _warn(result.warnings)
        made = f"{target.name} dances {motion.duration:.1f} s"
    else:
        made = _retarget_actions(wishes, target, how)
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
        if not batch.results:
            raise StepsmithError(f"None of the {len(actions)} actions could be retargeted: see the reasons above.")
        return f"{target.name} has {len(batch.results)} new actions, {len(batch.errors)} failed,"
    action = None if wishes.action is None else bpy.data.actions.get(wishes.action)
    if wishes.action is not None and action is None:
        raise StepsmithError(f"There is no action {wishes.action}: name one of the file's after --action.")
    _warn(retarget_action(context, source, target, action, options=options).warnings)
    return f"{target.name} does what {source.name} does"


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
    dance.add_argument("--rig", metavar="OBJECT", help="the armature that dances; without it, a new character")
    dance.add_argument("--genre", help="what is danced; without it, what suits the song")
    dance.add_argument("--seed", type=_count, default=0, help="another number makes another dance")
    dance.add_argument("--start", type=_seconds, default=0.0, help="seconds into the song")
    dance.add_argument("--duration", type=_seconds, help="seconds; without it, to the song's end")
    dance.add_argument("--bpm", type=_tempo, help="the song's tempo, where the one found by itself is wrong")
    dance.add_argument("--meter", type=_meter, help="the song's beats a bar, where those found are wrong")
    dance.add_argument("--backend", metavar="COMMAND", help="the stepsmith program, instead of the preferences' one")
    retarget = commands.add_parser(
        "retarget", help="put a motion file, or what another armature does, on an armature and save the file"
    )
    retarget.set_defaults(do=_retarget)
    what = retarget.add_mutually_exclusive_group(required=True)
    what.add_argument("motion", nargs="?", metavar="MOTION", help="a motion file: .npz, .pkl or .bvh")
    what.add_argument("--source", metavar="OBJECT", help="the armature whose motion is taken")
    retarget.add_argument("--rig", required=True, metavar="OBJECT", help="the armature that dances")
    which = retarget.add_mutually_exclusive_group()
    which.add_argument("--action", metavar="NAME", help="the source's action; without it, all that moves it now")
    which.add_argument("--all-actions", action="store_true", help="each of the source's actions into a new one")
    retarget.add_argument("-o", "--out", required=True, metavar="OUT.blend", help="the file to save")
    for command in (dance, retarget):
        arguments.add_options(command)
        command.add_argument("--verbose", action="store_true", help="show where in the program an error arose")
    return parser


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= (value := int(text)) < 2**31:
            return value
    raise argparse.ArgumentTypeError(f"{text} is no whole number from 0 to 2147483647")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.0 <= (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"{text} is no number from 0 on")


def _tempo(text: str) -> float:
    if value := _seconds(text):
        return value
    raise argparse.ArgumentTypeError("0 is no tempo")


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


def _find_rig(scene: bpy.types.Scene, name: str, check: Check, option: str = "--rig") -> bpy.types.Object:
    """The armature of that name, which passes ``check``. Raises RigError."""
    ob = scene.objects.get(name)
    if ob is None or ob.type != "ARMATURE":
        there = ", ".join(sorted(other.name for other in scene.objects if other.type == "ARMATURE")) or "none"
        what = "is no armature" if ob else "is not in the scene"
        raise RigError(f"{name} {what}: name one of its armatures after {option} ({there}).")
    check(ob)
    return ob


def _print_progress(status: Status) -> None:
    if not status.over:
        print(f"{status.fraction:4.0%} {status.text}", flush=True)


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
