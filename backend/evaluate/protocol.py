"""What is measured on which dances: one protocol, so that all of the project's figures can be compared.

Dances are cut into clips of 20 s from their beginning; a rest shorter than that is left out. The reference
of all distances is the real train split. The songs danced to are those of the split under test.
"""

from __future__ import annotations

import re
import tempfile
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...retarget.errors import StepsmithError
from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ..audio import Sound, analyse, decode
from ..dance.sources import Dance, Skip, ignore
from ..dance.timing import FIGURES, beats_a_bar, keep_time
from ..measures import anatomy, metrics
from ..measures.features import FEATURE_FPS
from ..measures.metrics import Estimate, Normaliser
from ..progress import Progress, silent
from .systems import Memory, StepsmithModel, System, digest

# Sound files, by their endings.
SONGS = (".wav", ".mp3", ".ogg", ".flac", ".m4a", ".aac", ".opus", ".wma", ".aiff", ".aif")

CLIP_SECONDS = 20.0
FPS = 30.0
FASTER = 1.25


@dataclass(frozen=True)
class Clip:
    """20 s of a dance. ``start``: its first second in the song ``song``; ``positions``: (600, 24, 3) metres, 30 fps,
    with their ``rotations`` (600, 24, 4); a frame less where the recording ends with the clip."""

    song: str
    start: float
    positions: Array
    rotations: Array
    kinetic: Array
    geometric: Array
    motion_beats: Array


@dataclass(frozen=True)
class Piece:
    """What is to be danced to: ``duration`` seconds (None: all) of the song ``path`` from ``start`` on.

    ``beats_a_bar``: as its dance has it; None where that is not known.
    """

    path: Path
    start: float = 0.0
    duration: float | None = None
    beats_a_bar: int | None = None


@dataclass(frozen=True)
class Song:
    """What is known of a song that is danced to. ``beats``: seconds from where the dance begins.

    ``tempo`` (beats a minute) and ``meter`` as they were heard; ``beats_a_bar``: as its dance has it. ``recording``:
    a digest of its file, by which several dances are known to be to one song; empty where that is not known.
    """

    beats: Array
    beats_a_bar: int = 4
    tempo: float = float("nan")
    meter: int = 4
    recording: str = ""

    def is_other(self, song: Song) -> bool:
        """Whether another recording is danced to than ``song``'s."""
        return not self.recording or self.recording != song.recording


@dataclass(frozen=True)
class Performance:
    """A system's dance to one song.

    ``faster``: its dance to the same song played faster, where it was asked for one. ``clock``: the beats
    (seconds) a recorded dancer moved to, found in the motion alone.
    """

    song: str
    motion: Motion
    faster: Motion | None = None
    clock: Array | None = None


def clip_count(motion: Motion) -> int:
    """How many full clips a dance has."""
    return int(motion.duration / CLIP_SECONDS + 1e-9)


def cut(song: str, motion: Motion) -> list[Clip]:
    """The full clips of a dance, with what is measured of each."""
    coarse = motion.resample(FPS)
    positions = coarse.positions()
    fine = motion.resample(FEATURE_FPS).positions()
    length, fine_length = round(CLIP_SECONDS * FPS), round(CLIP_SECONDS * FEATURE_FPS)
    clips = []
    for number in range(clip_count(motion)):
        part = fine[number * fine_length : (number + 1) * fine_length]
        clips.append(
            Clip(
                song=song,
                start=number * CLIP_SECONDS,
                positions=positions[number * length : (number + 1) * length],
                rotations=coarse.rotations[number * length : (number + 1) * length],
                kinetic=metrics.kinetic_features(part),
                geometric=metrics.geometric_features(part),
                motion_beats=metrics.motion_beats(part, FEATURE_FPS),
            )
        )
    return clips


@dataclass(frozen=True)
class Reference:
    """The real dances everything is compared with."""

    clips: Sequence[Clip]

    @cached_property
    def kinetic(self) -> Array:
        return np.array([clip.kinetic for clip in self.clips])

    @cached_property
    def geometric(self) -> Array:
        return np.array([clip.geometric for clip in self.clips])

    @cached_property
    def usual_speed(self) -> float:
        """m/s, the median over all seconds of the joints' mean speed."""
        return float(np.median(np.concatenate([metrics.window_speeds(c.positions, FPS) for c in self.clips])))

    @cached_property
    def distances(self) -> Mapping[str, tuple[Normaliser, NDArray[np.intp], Array]]:
        """A distance's name -> the scale, the chosen columns, and the reference's features on that scale."""
        found: dict[str, tuple[Normaliser, NDArray[np.intp], Array]] = {}
        for name, features in (("fid_k", self.kinetic), ("fid_g", self.geometric)):
            scale = Normaliser.of(features)
            found[name] = (scale, np.arange(features.shape[1]), scale(features))
        scale, _, scaled = found["fid_g"]
        varying = np.flatnonzero(scale.varying)
        found["fid_g_varying"] = (scale, varying, scaled[:, varying])
        return found

    def floors(self, rounds: int = 20) -> dict[str, Estimate]:
        """Each distance between disjoint halves of the reference, whole dances on one side only.

        The mean over ``rounds`` random halvings, and where 95 % of them lie. Raises StepsmithError where
        halves would have fewer than two dances.
        """
        return self._floors(np.array([clip.song for clip in self.clips]), rounds)

    def floors_by_clips(self, rounds: int = 20) -> dict[str, Estimate]:
        """As ``floors``, with clips of one dance on both sides: what the same dancers on the same days differ by."""
        return self._floors(np.arange(len(self.clips)), rounds)

    def _floors(self, owners: NDArray[Any], rounds: int) -> dict[str, Estimate]:
        """Floors by random halves of ``owners`` (N,), whom the clips belong to."""
        names = np.unique(owners)
        if len(names) < 4:
            raise StepsmithError(
                f"The train split needs four dances of {CLIP_SECONDS:g} s or more to compare with: give more or longer"
                " ones, as “stepsmith dataset build” makes with --length song."
            )
        random = np.random.default_rng(0)
        halves = [np.isin(owners, random.permutation(names)[: len(names) // 2]) for _ in range(rounds)]
        floors = {}
        for name, (_, _, scaled) in self.distances.items():
            values = [metrics.frechet_distance(scaled[half], scaled[~half]) for half in halves]
            low, high = np.percentile(values, [2.5, 97.5])
            floors[name] = Estimate(float(np.mean(values)), float(low), float(high))
        return floors


def measure(
    performances: Sequence[Performance], reference: Reference, songs: Mapping[str, Song]
) -> dict[str, Estimate]:
    """All figures of a system.

    ``songs``: every song of the split, by name. Raises StepsmithError where the
    dances hold fewer than two clips.
    """
    clips = [clip for performance in performances for clip in cut(performance.song, performance.motion)]
    if len(clips) < 2:
        raise StepsmithError(f"Two or more clips of {CLIP_SECONDS:g} s are needed: give more or longer dances.")
    return (
        _distances(clips, reference)
        | _beats(clips, songs)
        | _bars(clips, songs)
        | {"bas_own_clock": _own_clock(clips, {p.song: p.clock for p in performances if p.clock is not None})}
        | _body(clips, reference.usual_speed)
        | {
            "endurance": metrics.mean_estimate(_endurance(clips)),
            "pfc": metrics.mean_estimate([metrics.pfc(p.motion.resample(FPS).positions()) for p in performances]),
            "tempo_ratio": metrics.mean_estimate([_tempo_ratio(p) for p in performances]),
        }
    )


def _distances(clips: Sequence[Clip], reference: Reference) -> dict[str, Estimate]:
    features = {
        "fid_k": np.array([clip.kinetic for clip in clips]),
        "fid_g": np.array([clip.geometric for clip in clips]),
    }
    features["fid_g_varying"] = features["fid_g"]
    found: dict[str, Estimate] = {}
    for name, (scale, columns, real) in reference.distances.items():
        scaled = scale(features[name])[:, columns]

        def distance(index: NDArray[np.intp], scaled: Array = scaled, real: Array = real) -> float:
            return metrics.frechet_distance(scaled[index], real)

        def diversity(index: NDArray[np.intp], scaled: Array = scaled) -> float:
            return metrics.diversity(scaled[index])

        found[name] = metrics.bootstrap(distance, len(clips))
        found[name.replace("fid", "div")] = metrics.bootstrap(diversity, len(clips))
    return found


def _beats(clips: Sequence[Clip], songs: Mapping[str, Song]) -> dict[str, Estimate]:
    """Do motion beats meet those of the dance's own song, and more so than those of other songs?"""
    own, others, of_motion = [], [], []
    for clip in clips:
        song = songs.get(clip.song, Song(np.empty(0)))
        mine = _within(song.beats, clip.start)
        own.append(metrics.beat_alignment(mine, clip.motion_beats))
        of_motion.append(metrics.beat_alignment(clip.motion_beats, mine) if mine.size else np.nan)
        heard = [_within(o.beats, clip.start) for name, o in songs.items() if name != clip.song and o.is_other(song)]
        foreign = [metrics.beat_alignment(beats, clip.motion_beats) for beats in heard if beats.size]
        others.append(float(np.mean(foreign)) if foreign and mine.size else np.nan)
    return {
        "bas": metrics.mean_estimate(own),
        "bas_others": metrics.mean_estimate(others),
        "listening": metrics.mean_estimate(np.array(own) - np.array(others)),
        "bas_of_motion_beats": metrics.mean_estimate(of_motion),
        "motion_beat_rate": metrics.mean_estimate([len(clip.motion_beats) / CLIP_SECONDS for clip in clips]),
    }


def _bars(clips: Sequence[Clip], songs: Mapping[str, Song]) -> dict[str, Estimate]:
    """Does the motion repeat with the bar? In clips whose dance has bars of three, more than with bars of four?"""
    shares, margins = [], []
    for clip in clips:
        song = songs.get(clip.song)
        if song is None:
            continue
        beats = _within(song.beats, clip.start)
        own = metrics.share_of_bar(clip.positions, FPS, beats, song.beats_a_bar)
        shares.append(own)
        if song.beats_a_bar == 3:
            margins.append(own - metrics.share_of_bar(clip.positions, FPS, beats, 4))
    return {"bar_share": metrics.mean_estimate(shares), "waltz_in_three": metrics.mean_estimate(margins)}


def _own_clock(clips: Sequence[Clip], clocks: Mapping[str, Array]) -> Estimate:
    """How near the dancers' own beats have a motion beat: what a dancer who hears the beat can be held to."""
    return metrics.mean_estimate(
        [
            metrics.beat_alignment(_within(clocks[clip.song], clip.start), clip.motion_beats)
            for clip in clips
            if clip.song in clocks
        ]
    )


def _within(beats: Array, start: float) -> Array:
    moved = beats - start
    return moved[(moved >= 0) & (moved < CLIP_SECONDS)]


def _body(clips: Sequence[Clip], usual_speed: float) -> dict[str, Estimate]:
    depths = [anatomy.hand_depth(clip.positions) for clip in clips]
    beyond = [anatomy.beyond_range(clip.rotations) > anatomy.MARGIN for clip in clips]
    skating = [metrics.foot_skating(clip.positions, FPS) for clip in clips]
    return {
        "pfc_clips": metrics.mean_estimate([metrics.pfc(clip.positions, FPS) for clip in clips]),
        "pfc_undivided": metrics.mean_estimate([metrics.pfc_undivided(clip.positions, FPS) for clip in clips]),
        "skating": metrics.mean_estimate([skate.share for skate in skating]),
        "skating_slide": metrics.mean_estimate([skate.slide for skate in skating]),
        "freezing": metrics.mean_estimate([metrics.freezing(clip.positions, FPS, usual_speed) for clip in clips]),
        "joint_range": metrics.mean_estimate([frames.mean() for frames in beyond]),
        "self_intersection": metrics.mean_estimate([(depth > 0).any(axis=1).mean() for depth in depths]),
        "self_intersection_depth": metrics.mean_estimate(
            [100.0 * depth[depth > 0].mean() if depth.any() else np.nan for depth in depths]
        ),
        "joint_speed": metrics.mean_estimate([metrics.mean_speed(clip.positions, FPS) for clip in clips]),
        "acceleration": metrics.mean_estimate([metrics.mean_acceleration(clip.positions, FPS) for clip in clips]),
        "jitter": metrics.mean_estimate([metrics.mean_jerk(clip.positions, FPS) for clip in clips]),
    }


def _endurance(clips: Sequence[Clip]) -> list[float]:
    """Joint acceleration in each dance's last clip over that in its first: far from 1 where a dance falls apart."""
    dances: dict[str, list[Clip]] = {}
    for clip in clips:
        dances.setdefault(clip.song, []).append(clip)
    ends = [
        [metrics.mean_acceleration(clip.positions, FPS) for clip in (dance[0], dance[-1])]
        for dance in dances.values()
        if len(dance) > 1
    ]
    return [last / first for first, last in ends if first > 0]


def _tempo_ratio(performance: Performance) -> float:
    """Motion beats a second to the song played faster, over those to the song as it is."""
    if performance.faster is None:
        return float("nan")
    rates = [
        len(metrics.motion_beats(motion.resample(FEATURE_FPS).positions(), FEATURE_FPS)) / motion.duration
        for motion in (performance.motion, performance.faster)
    ]
    return rates[1] / rates[0] if rates[0] else float("nan")


# -- systems: who dances ------------------------------------------------------------------------------


def real_performances(dances: Sequence[Dance], more: Sequence[Dance]) -> list[Performance]:
    """The recorded dances, their clocks found with the help of ``more`` dances of the same genres.

    To a faster song they would dance the same faster: the tempo ratio of that is what the smoothing of motion
    beats leaves of 1.25.
    """
    clocks = {}
    for genre in {dance.genre for dance in dances} & set(FIGURES):
        alike = [dance for dance in (*dances, *more) if dance.genre == genre]
        for dance, (beats, _) in zip(alike, keep_time([d.motion for d in alike], FIGURES[genre]), strict=True):
            clocks[dance.name] = beats
    return [
        Performance(
            dance.name,
            dance.motion,
            faster=replace(dance.motion, fps=FASTER * dance.motion.fps, beats=None, downbeats=None),
            clock=clocks.get(dance.name),
        )
        for dance in dances
    ]


def pieces_of(dances: Sequence[Dance]) -> dict[str, Piece]:
    """What was danced to, by the names of the dances that have a song."""
    return {
        dance.name: Piece(dance.song, dance.start, dance.motion.duration, beats_a_bar(dance.genre))
        for dance in dances
        if dance.song is not None
    }


def pieces_in(folder: Path) -> dict[str, Piece]:
    """The songs in a folder, by name. Raises StepsmithError where there is none."""
    pieces = {path.stem: Piece(path) for path in sorted(folder.glob("*")) if path.suffix.lower() in SONGS}
    if not pieces:
        raise StepsmithError(f"There are no songs in {folder}: choose a folder of sound files.")
    return pieces


def listen(pieces: Mapping[str, Piece], progress: Progress = silent, skip: Skip = ignore) -> dict[str, Song]:
    """What is heard in every piece; ``skip`` hears of those that can't be. Raises StepsmithError where none can."""
    found = {}
    for number, (name, piece) in enumerate(pieces.items()):
        progress(number / len(pieces), f"Listening to {name}")
        try:
            music = analyse(piece.path, start=piece.start, duration=piece.duration)
        except StepsmithError as error:
            skip(str(error))
            continue
        found[name] = Song(
            music.beats, piece.beats_a_bar or music.meter, music.tempo, music.meter, digest([piece.path])
        )
    if pieces and not found:
        raise StepsmithError("None of the songs can be listened to: choose others.")
    return found


def perform(
    system: System,
    pieces: Mapping[str, Piece],
    songs: Mapping[str, Song],
    *,
    seed: int = 0,
    memory: Memory | None = None,
    progress: Progress = silent,
) -> list[Performance]:
    """A system's dances to ``pieces``, and to the same played faster.

    All systems hear the same files and are told nothing else. Only Stepsmith's model is told, for the faster
    song, the genre, metre and tempo that were found in the song itself: lest the beat tracker take 160 beats
    a minute for 80, as one well may.
    """

    def dance(dancer: System, song: Path, number: int) -> Motion:
        if memory is not None:
            return memory.dance(dancer, song, seed=seed + number)
        return dancer.dance(song, seed=seed + number)

    danced = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, piece) in enumerate(pieces.items()):
            progress(number / len(pieces), f"{system.name} dances to {name}")
            sound = decode(piece.path, start=piece.start, duration=piece.duration)
            title = re.sub(r"[^\w.-]+", "_", name)
            plain, faster = Path(folder) / f"{title}.wav", Path(folder) / f"{title}-faster.wav"
            record(sound, plain)
            record(sound, faster, speed=FASTER)
            motion = dance(system, plain, number)
            quick = system
            if isinstance(system, StepsmithModel):
                song = songs[name]
                quick = replace(system, genre=motion.meta["genre"], bpm=song.tempo * FASTER, meter=song.meter)
            danced.append(Performance(name, motion, dance(quick, faster, number)))
    return danced


def record(sound: Sound, out: Path, *, speed: float = 1.0) -> None:
    """Writes a sound to ``out`` (.wav), as a record player at ``speed`` plays it: faster and higher."""
    with wave.open(str(out), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(round(sound.rate * speed))
        file.writeframes((np.clip(sound.samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
