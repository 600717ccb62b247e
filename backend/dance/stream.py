"""A dance handed out while it is made: its beginning first, each further part led on from the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ...retarget.errors import StepsmithError
from ...retarget.motion import Motion
from ..audio import Music
from ..progress import Progress, silent
from .controls import Controls, Keep
from .generate import choose_genre
from .keep import Kept
from .model import DanceModel
from .plan import Plan, plan_dance
from .sampler import sample
from .weights import load_model

FIRST = 5.0  # s of the first part
_PART = 15.0  # s of the others: longer ones come in lumps, shorter ones sample more frames twice
_LEAD_IN = 2.5  # s of the part before that a part is sampled with, and keeps
_AHEAD = 2.5  # s sampled beyond a part's end, so that it ends as if it went on; danced anew in the next
_NEXT_SEED = 1_000_003


def generate_stream(
    opening: Music,
    *,
    whole: Callable[[], Music] | None = None,
    genre: str | None = None,
    seed: int = 0,
    controls: Controls | None = None,
    model: DanceModel | None = None,
    progress: Progress = silent,
) -> Iterator[Motion]:
    """Parts of one dance, the first of 5 s, the others of 15 s; ``concatenate`` makes them the whole dance.

    ``opening``: the music, or its first seconds (10 or more) where it takes long to listen to all of it; then ``whole``
    is called for all once the first part is out. Beats of a part count from its start. The rest is as in
    ``generate``, whose dance for the same seed is another one. Memory does not grow with the song.
    Raises StepsmithError as it does, and for controls that need the whole dance at once.
    """
    controls = controls or Controls()
    if controls.keep or controls.loop or controls.candidates > 1:
        raise StepsmithError(
            "A dance that keeps motions, loops or is the best of several is known at its end only: leave that out to"
            " have the dance while it is made."
        )
    model = model or load_model()

    def planned(music: Music, known: Controls) -> Plan:
        return plan_dance(music, genre or choose_genre(music, model.config.genres), known, model)

    heard = controls
    if whole is not None:
        heard = replace(controls, changes=tuple(c for c in controls.changes if c[0] < opening.duration))
    plan = planned(opening, heard)
    cues, fps = plan.cues(seed), plan.fps
    done, number = 0, 0
    before: Motion | None = None
    while number == 0 or done < len(cues):
        stop = done + round((_PART if number else FIRST) * fps)
        if whole is None and stop + round(_AHEAD * fps) >= len(cues):
            stop = len(cues)
        start, end = done - (len(before) if before else 0), min(stop + round(_AHEAD * fps), len(cues))
        keeps = [] if before is None else [Keep(before)]
        part = replace(plan, shares=plan.shares[start:end], kept=Kept.of(keeps, end - start, fps))
        (features,) = sample(
            model,
            [cues[start:end]],
            part.shares,
            seeds=[(seed + number * _NEXT_SEED) % 2**63],
            guide_energy=controls.energy is not None,
            constrain=part.constrain if part.constrained else None,
        )
        motion = part.finish(features)
        before = motion.slice(max(0, stop - start - round(_LEAD_IN * fps)), stop - start)
        before = before.mirror() if controls.mirror else before
        progress(stop / len(cues) if whole is None else 0.0, "Choreographing")
        yield _with_beats(motion.slice(done - start, stop - start), plan, done, seed)
        done, number = stop, number + 1
        if whole is not None:
            plan, whole = planned(whole(), controls), None
            cues = plan.cues(seed)


def _with_beats(motion: Motion, plan: Plan, first: int, seed: int) -> Motion:
    """A part of the dance, its frame 0 the frame ``first`` of the whole, with the beats that fall into it."""
    begin = first / plan.fps
    end = begin + motion.duration
    beats, downbeats = (
        marks[(marks >= begin) & (marks < end)] - begin for marks in (plan.music.beats, plan.music.downbeats)
    )
    return replace(motion, beats=beats, downbeats=downbeats, meta=plan.facts(seed))
