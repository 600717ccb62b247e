"""The command ``stepsmith``. Heavy libraries are loaded by the commands that need them, so that help is quick."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..retarget.errors import StepsmithError
from ..retarget.rig_path import split_rig
from ..retarget.telling import heard_and_danced
from . import file_options, keying, steering
from .bar import progress_bar
from .keying import Keying
from .progress import part

if TYPE_CHECKING:
    from .choreography import Wish

_VERBOSE = "stepsmith.verbose"
_STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
# Libraries that break if they are stopped while they are loaded, and take the process along; s after which a stop that
# came meanwhile is tried again.
_FRAGILE, _SOON = ("numpy", "torch", "mediapipe"), 0.005
_SHOWN = 60  # characters of a name too long to be shown whole
_DEMO_SECONDS = 20.0
_DEMO_TEMPO = 122.0


class _Commands(TyperGroup):
    """Ends every command the same way: errors as one sentence, exit codes 1 and 130."""

    def invoke(self, ctx: Any) -> Any:  # typer's own, private type of context
        try:
            with _terminable():
                return super().invoke(ctx)
        except StepsmithError as error:
            _complain(ctx, error, str(error))
            raise typer.Exit(1) from error
        except KeyboardInterrupt as interruption:
            print("\nstepsmith: stopped; no half-written file was left.", file=sys.stderr)
            code = interruption.args[0] if interruption.args else signal.SIGINT
            raise typer.Exit(128 + int(code)) from None
        except MemoryError as error:
            _complain(ctx, error, "There is not enough memory: close other programs, or use a shorter song or video.")
            raise typer.Exit(1) from error
        except (typer.TyperException, typer.Exit, typer.Abort):  # its own ways to end
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _is_unread():
                raise  # typer ends quietly
            if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
                name = str(error.filename)
                _complain(ctx, error, f"“{name[:_SHOWN]}...” is too long for a file's name: choose a shorter one.")
                raise typer.Exit(1) from error
            words = " ".join(str(error).split())
            sentence = f"An unexpected error stopped the work ({type(error).__name__}: {words})"
            _complain(ctx, error, f"{sentence}: run it again as “stepsmith --verbose ...” and report what it says.")
            raise typer.Exit(1) from error


def _complain(ctx: typer.Context, error: BaseException, sentence: str) -> None:
    if ctx.meta.get(_VERBOSE):
        traceback.print_exception(error)
    print(f"stepsmith: {sentence}", file=sys.stderr)


def _is_unread() -> bool:
    """Whether what reads standard output has closed it, as ``head`` does; Windows can't tell."""
    if not hasattr(select, "poll"):
        return False
    asked = select.poll()
    asked.register(sys.stdout.fileno(), 0)
    return bool(asked.poll(0))


def _is_fragile(frame: FrameType | None) -> bool:
    """Whether one of _FRAGILE is being loaded in a frame or in those that called it."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__")).partition(".")[0]
        if frame.f_code.co_name == "<module>" and name in _FRAGILE:
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """The end of the terminal or a polite kill stops the work as Ctrl-C does, with its clean-up.

    A second Ctrl-C does not stop the clean-up. What nohup and the like have switched off stays off.
    """
    # Elsewhere than in the main thread signals can't be caught.
    heard = _STOPPING if threading.current_thread() is threading.main_thread() else []
    before = {number: signal.getsignal(number) for number in heard if signal.getsignal(number) != signal.SIG_IGN}
    asking: list[threading.Thread] = []
    heeded = threading.Event()

    def ask_again(signum: int) -> None:
        while not heeded.wait(_SOON):
            signal.raise_signal(signum)

    def stop(signum: int, frame: FrameType | None) -> None:
        if _is_fragile(frame):
            if not asking:
                asking.append(threading.Thread(target=ask_again, args=(signum,), daemon=True))
                asking[0].start()
            return
        heeded.set()
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt(signum)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        heeded.set()
        for thread in asking:
            thread.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _set_verbose(ctx: typer.Context, value: bool) -> bool:
    if value:
        ctx.meta[_VERBOSE] = True
    return value


def _show_version(value: bool) -> None:
    if value:
        print(f"stepsmith {__version__}")
        raise typer.Exit


Verbose = Annotated[
    bool, typer.Option("--verbose", callback=_set_verbose, help="Show the whole trace when something fails.")
]

app = typer.Typer(
    cls=_Commands,
    help="Make characters dance: a song goes in, a keyed dance on your own rig comes out.",
    epilog="Start with [bold]stepsmith demo[/bold]; every command explains itself with --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    verbose: Verbose = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself."""


def mount(name: str, target: str, summary: str) -> None:
    """Add a command ``name`` whose typer app ``target`` ("package.module:attribute") is loaded when it is used."""

    @app.command(
        name,
        help=summary,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )
    def run(ctx: typer.Context) -> None:
        module, _, attribute = target.partition(":")
        command = typer.main.get_command(getattr(importlib.import_module(module), attribute))
        with command.make_context(name, list(ctx.args), parent=ctx.parent) as inner:
            command.invoke(inner)


@app.command(
    epilog="""[bold]Examples[/bold]

stepsmith dance song.mp3 -o dance.blend

stepsmith dance song.mp3 -o dance.mp4 -o dance.npz --genre tango --start 45 --duration 30

stepsmith dance clip.mov -o hero.blend --rig hero.blend:Armature --seed 7

stepsmith dance song.mp3 -o game.glb --genre waltz --genre 20:tango --loop --radius 2 --candidates 4

stepsmith dance song.mp3 -o new.blend --keep old.npz:0-4 --keep old.npz:12-15@12 --energy 1"""
)
def dance(
    song: Annotated[Path, typer.Argument(metavar="SONG", help="A sound file of any kind, or a video for its sound.")],
    out: file_options.Out,
    rig: file_options.Rig = None,
    genre: steering.Genre = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="N", help="Another number makes another dance.")
    ] = 0,
    start: Annotated[float, typer.Option(help="Seconds into the song where the dance starts.")] = 0.0,
    duration: Annotated[float | None, typer.Option(help="Seconds to dance; without it, to the song's end.")] = None,
    bpm: Annotated[float | None, typer.Option(help="Beats a minute, where the tempo found is wrong.")] = None,
    meter: Annotated[int | None, typer.Option(help="Beats a bar, where the metre found is wrong.")] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Other weights than those that come with Stepsmith.")
    ] = None,
    energy: steering.Energy = None,
    candidates: steering.Candidates = 1,
    start_from: steering.StartFrom = None,
    keep: steering.KeepWhole = None,
    keep_upper: steering.KeepUpper = None,
    keep_lower: steering.KeepLower = None,
    loop: steering.Loop = False,
    radius: steering.Radius = None,
    preset: keying.Map = None,
    feet: keying.Feet = "auto",
    in_place: keying.InPlace = False,
    place: keying.Place = None,
    heading: keying.Heading = None,
    reach: keying.Reach = False,
    mirror: keying.Mirror = False,
    keys: keying.Keys = None,
    verbose: Verbose = False,
) -> None:
    """Make a dance for a song."""
    from .choreography import Wish

    # The dance itself is mirrored, since what it keeps is not.
    how = Keying(preset, feet, in_place, place, heading, reach, keys=keys)
    first, changes = steering.split_genres(genre or [])
    controls = steering.read_controls(
        changes=changes,
        energy=energy,
        candidates=candidates,
        start_from=start_from,
        keep=keep or [],
        keep_upper=keep_upper or [],
        keep_lower=keep_lower or [],
        loop=loop,
        radius=radius,
        mirror=mirror,
    )
    wish = Wish(song, first, seed, start, duration, bpm, meter, controls)
    held = [*([start_from] if start_from else []), *(keep or []), *(keep_upper or []), *(keep_lower or [])]
    kept = [steering.kept_file(text) for text in held]
    for path in _dance(wish, out, file_options.one_rig(rig), model, how, kept):
        print(path)


@app.command()
def demo(verbose: Verbose = False) -> None:
    """Make a song, a dance for it and a video of it, in the folder out."""
    from .audio.synth import synthesise, write_wav
    from .choreography import Wish

    began = time.monotonic()
    folder = Path("out")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StepsmithError(f"The folder {folder.absolute()} can't be made ({error.strerror}).") from error
    song, blend, video = folder / "demo.wav", folder / "demo.blend", folder / "demo.mp4"
    write_wav(song, synthesise(_DEMO_TEMPO, duration=_DEMO_SECONDS, seed=3))
    _dance(Wish(song), [blend, video], None, None, Keying())
    print(f"A song of {_DEMO_SECONDS:.0f} s, a dance for it and a video, made in {time.monotonic() - began:.0f} s:")
    print(f"  {song}   the song\n  {blend}  the scene: open it in Blender and press space\n  {video}    the video")
    print("Try next:")
    print("  stepsmith dance YOUR_SONG.mp3 -o dance.blend")
    print("  stepsmith dance YOUR_SONG.mp3 -o dance.blend --rig YOUR_RIG.blend --genre tango --seed 1")
    print("  stepsmith dance --help")


@app.command(
    epilog="""[bold]Example[/bold]: a backend for Blender on another machine

STEPSMITH_TOKEN=... stepsmith serve --host 0.0.0.0 --port 8760"""
)
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="The address to listen at; by default this machine alone is heard.")] = (
        "127.0.0.1"
    ),
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where songs, jobs and dances are kept.", show_default=False)
    ] = None,
    parent: Annotated[
        int | None, typer.Option(metavar="PID", help="End when this process is gone, or standard input ends.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Other weights than those that come with Stepsmith.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Serve dances to Blender: HTTP, opened by the token in the environment variable STEPSMITH_TOKEN."""
    from .server import serve as run
    from .settings import Settings, data_folder

    token = os.environ.pop("STEPSMITH_TOKEN", "")
    run(Settings(token, host, port, data or data_folder(), parent, model))


mount("capture", "stepsmith.backend.capture_command:capture_app", "Capture the dancer of a video.")
mount("retarget", "stepsmith.backend.retarget_command:retarget_app", "Put a motion file on a character.")
mount("rig", "stepsmith.backend.retarget_command:rig_app", "Show which bones of a character dance.")
mount("evaluate", "stepsmith.backend.evaluate.cli:evaluate_app", "Measure dances and captured bodies beside real ones.")
mount("mesh", "stepsmith.backend.mesh_command:mesh_app", "Write a dance as meshes of your own SMPL body.")
mount("train", "stepsmith.backend.dance.train_command:train_app", "Train the dance model on recorded dances.")
mount(
    "train-lifter",
    "stepsmith.backend.pose.lifter.train_command:train_lifter_app",
    "Train what finds a video's dancer in space.",
)
mount("dataset", "stepsmith.backend.dataset.command:dataset_app", "Make training data out of dance videos.")
mount("baselines", "stepsmith.backend.baselines.command:baselines_app", "Train the systems to compare the model with.")


def _dance(
    wish: Wish,
    outs: Sequence[Path],
    rig: str | None,
    weights: Path | None,
    how: Keying,
    kept: Sequence[Path] = (),
) -> list[Path]:
    """Check, choreograph, export; the files written. ``kept``: those of the motions that the dance keeps."""
    from . import export
    from .choreography import Choreographer
    from .model_header import read_header

    if not wish.song.is_file():
        raise StepsmithError(f"There is no sound file “{wish.song}”: check the name.")
    header = read_header(weights)
    changes = wish.controls.changes if wish.controls else ()
    for genre in (wish.genre, *(name for _, name in changes)):
        header.check_genre(genre)
    export.check(outs, rig, sources=[wish.song, *kept, *([split_rig(rig)[0]] if rig else [])], how=how)
    # Rendering a video takes many times as long as all the rest.
    choreography = 0.15 if any(out.suffix.lower() == ".mp4" for out in outs) else 0.6
    with progress_bar() as progress:
        motion = Choreographer(weights).dance(wish, part(progress, 0.0, choreography))
        stage = export.Stage(wish.song, wish.start, rig, how)
        told = export.export(motion, outs, stage, part(progress, choreography, 1.0))
    for sentence in (*heard_and_danced(motion.meta), *_ranking(motion.meta), *told):
        print(f"stepsmith: {sentence}", file=sys.stderr)
    return list(outs)


def _ranking(meta: Mapping[str, Any]) -> list[str]:
    """A sentence on which of several candidates a dance is, none where there was one alone."""
    if "ranked" not in meta:
        return []
    best, *others = meta["ranked"]
    then = ", ".join(map(str, others))
    return [f"Seed {best} is the best of {len(others) + 1}, then {then}: --seed {others[0]} makes the next."]


def main() -> None:
    """The command line's entry."""
    try:
        app(prog_name="stepsmith")
    finally:
        # A second Ctrl-C while the interpreter ends must not change the exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
