"""A song as the dance model hears it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..progress import Progress, part
from . import beats as beat
from .beats import Song
from .decode import SHORTEST, AudioError, decode, levelled
from .spectrum import FEATURE_FPS, MEL_BANDS, ONSET_FPS, Floats, spectrum

Array = NDArray[np.float64]

# Seconds of a song that tell its tempo surely.
CONTEXT = 30.0


@dataclass(frozen=True)
class Music:
    """What dancing needs to know of a song, or of a part of it; second 0 is where that part starts.

    ``duration`` in seconds; ``tempo`` in beats a minute; ``meter`` in beats a bar; ``beats`` (B,) and
    ``downbeats`` (D,) in seconds, ascending, each downbeat one of the beats. ``mel``: (T, 32) float32 log
    energies at 30 frames a second, frame k centred at k / 30 s, standardised over the whole (mean 0,
    deviation 1). ``onset``: (T,) float32 onset strength, its 95th percentile at 1, at most 2. ``songs``: of a mix,
    the first from second 0 on, with ``tempo`` and ``meter`` of the longest; none of a single song.
    """

    duration: float
    tempo: float
    meter: int
    beats: Array
    downbeats: Array
    mel: Floats
    onset: Floats
    songs: tuple[Song, ...] = ()

    @property
    def each_song(self) -> tuple[Song, ...]:
        """The songs of a mix, or the only one."""
        return self.songs or (Song(0.0, self.tempo, self.meter),)

    def song_at(self, times: ArrayLike) -> NDArray[np.intp]:
        """Which of ``each_song`` is heard at each time (seconds)."""
        begins = [song.start for song in self.each_song]
        return np.maximum(np.searchsorted(begins, np.asarray(times, dtype=float), side="right") - 1, 0)

    def beat_phase(self, times: ArrayLike) -> Array:
        """How far into its beat each time (seconds) is, in [0, 1): 0 on a beat."""
        return _phase(self.beats, np.asarray(times, dtype=float), 60.0 / self.tempo)

    def bar_phase(self, times: ArrayLike) -> Array:
        """How far into its bar each time (seconds) is, in [0, 1): 0 on a downbeat."""
        return _phase(self.downbeats, np.asarray(times, dtype=float), 60.0 * self.meter / self.tempo)

    def in_bars_of(self, meter: int) -> Music:
        """The same music, its beats counted in bars of ``meter`` from each song's first downbeat on, and back."""
        if all(song.meter == meter for song in self.each_song):
            return self
        heard, marked = self.song_at(self.beats), self.song_at(self.downbeats)
        downbeats = []
        for number, song in enumerate(self.each_song):
            beats, marks = self.beats[heard == number], self.downbeats[marked == number]
            if song.meter != meter:
                first = int(np.searchsorted(beats, marks[0])) if len(marks) else 0
                marks = beats[first % meter :: meter]
            downbeats.append(marks)
        songs = tuple(replace(song, meter=meter) for song in self.songs)
        return replace(self, meter=meter, downbeats=np.concatenate(downbeats), songs=songs)

    def retimed(self, beats: Array, downbeats: Array) -> Music:
        """The song as it sounds when its beats are played at ``beats`` (seconds), its bars at ``downbeats``.

        The song's first downbeat late enough to be led into falls on the first of ``downbeats``; the result
        begins at second 0 and ends where the song or ``beats`` end. At least two beats and a downbeat needed.
        """
        lead = float(np.searchsorted(beats, downbeats[0]) + beats[0] / (beats[1] - beats[0]))
        firsts = np.searchsorted(self.beats, self.downbeats)
        first = firsts[np.argmax(firsts >= lead)] if (firsts >= lead).any() else firsts[0]
        shift = first - np.searchsorted(beats, downbeats[0])
        kept = beats[: max(len(self.beats) - shift, 2)]
        times = np.arange(round(kept[-1] * FEATURE_FPS) + 1) / FEATURE_FPS
        count = np.interp(times, kept, np.arange(len(kept)))
        count = np.where(times < kept[0], (times - kept[0]) / (kept[1] - kept[0]), count) + shift
        at = np.clip(np.interp(count, np.arange(len(self.beats)), self.beats) * FEATURE_FPS, 0, len(self.mel) - 1)
        low = np.minimum(np.floor(at).astype(int), len(self.mel) - 2)
        share = (at - low).astype(np.float32)
        return Music(
            duration=len(times) / FEATURE_FPS,
            tempo=60.0 / float(np.median(np.diff(kept))),
            meter=self.meter,
            beats=kept,
            downbeats=downbeats[downbeats <= kept[-1] + 1e-6],
            mel=self.mel[low] * (1 - share[:, None]) + self.mel[low + 1] * share[:, None],
            onset=self.onset[low] * (1 - share) + self.onset[low + 1] * share,
        )


def _phase(marks: Array, times: Array, period: float) -> Array:
    """Phase of ``times`` between ``marks``, carried on with the nearest distance; ``period`` where marks are one."""
    if len(marks) == 0:
        marks = np.zeros(1)
    if len(marks) == 1:
        marks = marks[0] + np.array([0.0, period])
    position = np.interp(times, marks, np.arange(len(marks)))
    position = np.where(times < marks[0], (times - marks[0]) / (marks[1] - marks[0]), position)
    position = np.where(times > marks[-1], (times - marks[-1]) / (marks[-1] - marks[-2]), position)
    phase = position - np.floor(position)
    return np.where(phase >= 1.0, 0.0, phase)


def analyse(
    path: Path | str,
    *,
    start: float = 0.0,
    duration: float | None = None,
    bpm: float | None = None,
    meter: int | None = None,
    context: float = 0.0,
    progress: Progress | None = None,
) -> Music:
    """Listen to a song, or to ``duration`` seconds of it from ``start`` on.

    ``bpm`` and ``meter`` (beats a bar) override what would be heard. ``context``: seconds that are listened to where
    ``duration`` is less, of the song before and after, since a few bars alone tell no tempo. Raises AudioError for what
    ``decode`` can't read and for a tempo or metre nobody dances to; lets ``Cancelled`` through.
    """
    if bpm is not None and not 30.0 <= bpm <= 300.0:
        raise AudioError(f"A tempo is between 30 and 300 beats a minute, not {bpm:g}.")
    if meter is not None and not 2 <= meter <= 12:
        raise AudioError(f"A bar has between 2 and 12 beats, not {meter}.")
    before, wanted = 0, duration
    if duration is not None and SHORTEST <= duration < context and 0.0 <= start < float("inf"):
        # Whole seconds, so that frames of features are where they would be without.
        before = min(int(start), int(np.ceil((context - duration) / 2.0)))
        wanted = context
    sound = decode(path, start=start - before, duration=wanted, progress=part(progress, 0.0, 0.4))
    if sound.duration - before < SHORTEST:
        sound, before = decode(path, start=start, duration=duration), 0  # which says what is wrong
    sound = levelled(sound)
    heard = spectrum(sound, part(progress, 0.4, 0.7))
    found = beat.track(sound, heard, bpm=bpm, meter=meter, progress=part(progress, 0.7, 1.0))
    samples = len(sound.samples) - before * sound.rate
    samples = samples if duration is None else min(samples, round(duration * sound.rate))
    lasts, onsets = samples / sound.rate, -(-samples * ONSET_FPS // sound.rate)
    flux = heard.flux[before * ONSET_FPS :][:onsets]
    mel = heard.mel[before * FEATURE_FPS :][: -(-onsets * FEATURE_FPS // ONSET_FPS)]
    songs = _songs_within(found.songs, before, lasts)
    longest = songs[int(np.argmax(np.diff([song.start for song in songs], append=lasts)))]
    return Music(
        duration=lasts,
        tempo=longest.tempo,
        meter=longest.meter,
        beats=_within(found.beats - before, lasts),
        downbeats=_within(found.downbeats - before, lasts),
        mel=((mel - mel.mean()) / (mel.std() + 1e-6)).astype(np.float32),
        onset=_onset(flux),
        songs=songs if len(songs) > 1 else (),
    )


def _songs_within(songs: Sequence[Song], before: float, duration: float) -> tuple[Song, ...]:
    """Those heard in ``duration`` seconds from second ``before`` on, which becomes second 0."""
    ends = [*(song.start for song in songs[1:]), np.inf]
    return tuple(
        replace(song, start=max(song.start - before, 0.0))
        for song, end in zip(songs, ends, strict=True)
        if end > before and song.start < before + duration
    )


def _within(marks: Array, duration: float) -> Array:
    return marks[(marks >= 0.0) & (marks <= duration)]


def _onset(flux: Floats) -> Floats:
    """Onset strength at FEATURE_FPS, (T,): the strongest of the onset frames around each feature frame."""
    step = ONSET_FPS // FEATURE_FPS
    strength = flux.mean(axis=1)
    count = -(-len(strength) // step)
    padded = np.pad(strength, (1, count * step - len(strength)))[: count * step]
    peaks = padded.reshape(count, step).max(axis=1)
    return np.clip(peaks / max(float(np.percentile(peaks, 95)), 1e-6), 0.0, 2.0).astype(np.float32)


__all__ = ["CONTEXT", "FEATURE_FPS", "MEL_BANDS", "Music", "analyse"]
