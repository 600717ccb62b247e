"""What a worker can do: one function for every kind of job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...retarget.files import load_motion, motion_to_bytes, save_motion
from ...retarget.motion import Motion, concatenate
from ...retarget.placing import written_beside
from ..choreography import Choreographer, Wish
from ..progress import Progress


@dataclass(frozen=True)
class Order:
    """One job as the worker gets it: ``request`` as the client sent it, ``song`` its file or video, ``out`` where the
    result goes (an .npz), ``model`` the weights or None for Stepsmith's own; ``motions``: the files of motions that
    the request names by their SHA-256."""

    kind: str
    request: dict[str, Any]
    song: Path
    out: Path
    model: Path | None = None
    motions: dict[str, Path] = field(default_factory=dict)


Work = Callable[[Order, Progress], None]


def dance(order: Order, progress: Progress) -> None:
    """A dance for the order's song; where it is streamed, its parts too, each as soon as it is made."""
    wish, choreographer = _wish(order), _choreographer(order.model)
    if not order.request.get("stream"):
        save_motion(order.out, choreographer.dance(wish, progress))
        return
    reached = 0.0

    def report(fraction: float, text: str) -> None:
        nonlocal reached
        reached = fraction
        progress(fraction, text)

    parts: list[Motion] = []
    for motion in choreographer.stream(wish, report):
        file = part_file(order.out, len(parts))
        with written_beside(file) as unfinished:
            unfinished.write_bytes(motion_to_bytes(motion))
        parts.append(motion)
        # Another text is passed on at once: who waits for the part looks for it then.
        progress(reached, f"{sum(part.duration for part in parts):.0f} s are danced")
    # The last part knows all of the song, the first one its beginning.
    save_motion(order.out, concatenate(parts).with_meta(**parts[-1].meta))


def capture(order: Order, progress: Progress) -> None:
    """The dancer of the order's video; what was wrong with it is in the motion's meta."""
    from ..performance import Take, perform

    wishes = ("person", "field_of_view", "start", "duration")
    take = Take(order.song, **{name: order.request[name] for name in wishes if name in order.request})
    save_motion(order.out, perform(take, progress).motion)


def part_file(out: Path, number: int) -> Path:
    """Where part ``number`` of a dance that is streamed to ``out`` lies until all of it is there."""
    return out.with_name(f".{out.stem}.{number:05}.part")


def _wish(order: Order) -> Wish:
    """The order's request. Raises StepsmithError for motions and controls that can't be used."""
    from ..dance.controls import Controls, Keep

    asked = {name: value for name, value in order.request.items() if name not in ("stream", "controls")}
    wishes = dict(order.request.get("controls") or {})
    wishes["changes"] = tuple((second, genre) for second, genre in wishes.get("changes", ()))
    if isinstance(energy := wishes.get("energy"), list):
        wishes["energy"] = tuple((second, level) for second, level in energy)
    wishes["keep"] = tuple(
        Keep(load_motion(order.motions[keep["motion"]]), keep["at"], keep["part"]) for keep in wishes.get("keep", ())
    )
    return Wish(order.song, **asked, controls=Controls(**wishes))


@lru_cache(maxsize=1)
def _choreographer(model: Path | None) -> Choreographer:
    """One for all jobs, so that the model is read once."""
    return Choreographer(model)


KINDS: dict[str, Work] = {"dance": dance, "capture": capture}
