"""A dance handed out while it is made: its beginning first, each further part led on from the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ...retarget.errors import StepsmithError
from ...retarget.motion import Motion
from ..audio import Music
from ..progress import Progress, part, silent
from .controls import Controls, Keep
from .generate import choose_genres, suiting_genre
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
    songs: Iterable[Music],
    *,
    genre: str | None = None,
    seed: int = 0,
    controls: Controls | None = None,
    model: DanceModel | None = None,
    progress: Progress = silent,
) -> Iterator[Motion]:
    """Parts of one dance, the first of 5 s, the others of 15 s; ``concatenate`` makes them the whole dance.

    ``songs``: the music; or first its beginning (10 s or more), then longer beginnings, at last all of it, each asked
    for when the dance has come to the end of what is known, so that listening delays nobody. Without ``genre`` the
    first of them decides what is danced; of a mix each further song has its own dance from where it is heard.
    ``progress`` is told shares once the whole is known, 0 before. Beats of a part count from its start. The rest is as
    in ``generate``, whose dance for the same seed is another one. Memory does not grow with the dance.
    Raises StepsmithError as it does, and for controls that need the whole dance at once.
    """
    controls = controls or Controls()
    if controls.keep or controls.loop or controls.candidates > 1:
        raise StepsmithError(
            "A dance that keeps motions, loops or is the best of several is known at its end only: leave that out to"
            " have the dance while it is made."
        )
    model = model or load_model()
    known = iter(songs)
    opening = next(known)
    suits = genre is None and not controls.changes
    (_, suiting), *changes = choose_genres(opening, model.config.genres)
    genre = genre or suiting
    if suits:
        controls = replace(controls, changes=tuple(changes))
    plan = _plan(opening, genre, controls, model)
    cues, fps, ahead = plan.cues(seed), plan.fps, round(_AHEAD * plan.fps)
    done, number, all_known = 0, 0, False
    before: Motion | None = None
    while done < len(cues):
        stop = done + round((_PART if number else FIRST) * fps)
        while stop + ahead >= len(cues) and not all_known:
            longer = next(known, None)
            if longer is None:
                all_known = True
            else:
                if suits:
                    danced = (0.0, genre), *controls.changes
                    further = _changes(danced, plan.music, longer, done / fps, model.config.genres)
                    controls = replace(controls, changes=further)
                plan = _plan(longer, genre, controls, model)
                cues = plan.cues(seed)
        if stop + ahead >= len(cues):
            stop = len(cues)
        start, end = done - (len(before) if before else 0), min(stop + ahead, len(cues))
        keeps = [] if before is None else [Keep(before)]
        section = replace(
            plan, shares=plan.shares[start:end], phase=plan.phase[start:end], kept=Kept.of(keeps, end - start, fps)
        )
        (features,) = sample(
            model,
            [cues[start:end]],
            section.shares,
            seeds=[(seed + number * _NEXT_SEED) % 2**63],
            constrain=section.constrain if section.constrained else None,
            progress=part(progress, done / len(cues), stop / len(cues)) if all_known else part(progress, 0.0, 0.0),
        )
        motion = section.finish(features)
        before = motion.slice(max(0, stop - start - round(_LEAD_IN * fps)), stop - start)
        before = before.mirror() if controls.mirror else before
        yield _with_beats(motion.slice(done - start, stop - start), plan, done, seed)
        done, number = stop, number + 1


def _changes(
    danced: Sequence[tuple[float, str]], heard: Music, longer: Music, second: float, genres: tuple[str, ...]
) -> tuple[tuple[float, str], ...]:
    """Changes (second, genre) of what was ``danced``, from ``second`` on by the songs that begin there.

    ``longer``: what is known of the music now, instead of what was ``heard``. More of a song may suit another genre,
    but a dance does not change in a song's middle, unless that was not yet told apart from the song before it.
    """
    now = int(longer.song_at(second))
    songs = list(longer.each_song[now + 1 :])
    if now > heard.song_at(second):
        songs.insert(0, replace(longer.each_song[now], start=second))
    changes = [change for change in danced if change[0] <= second]
    for song in songs:
        if (genre := suiting_genre(song, genres)) != changes[-1][1]:
            changes.append((song.start, genre))
    return tuple(changes[1:])


def _plan(music: Music, genre: str, controls: Controls, model: DanceModel) -> Plan:
    """The plan of as much of the dance as there is music; later changes of genre are not yet in it."""
    heard = tuple(change for change in controls.changes if change[0] < music.duration - 1.0 / model.config.fps)
    return plan_dance(music, genre, replace(controls, changes=heard), model)


def _with_beats(motion: Motion, plan: Plan, first: int, seed: int) -> Motion:
    """A part of the dance, its frame 0 the frame ``first`` of the whole, with the beats that fall into it."""
    begin = first / plan.fps
    end = begin + motion.duration
    beats, downbeats = (
        marks[(marks >= begin) & (marks < end)] - begin for marks in (plan.music.beats, plan.music.downbeats)
    )
    return replace(motion, beats=beats, downbeats=downbeats, meta=plan.facts(seed))
