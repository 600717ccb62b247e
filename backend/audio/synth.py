"""A small band in numpy: songs with known tempo, metre, beats and downbeats, for the demo and for tests.

Additive tones and shaped noise, placed on a grid of beats. The same arguments give the same samples.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...retarget.placing import written_beside
from .grooves import Groove, grooves

RATE = 44100

Array = NDArray[np.float64]
Spans = tuple[tuple[int, int], ...]

# Chords as semitones above the key's root: four bars that can be repeated.
_PROGRESSIONS = (
    ((0, 4, 7), (7, 11, 14), (9, 12, 16), (5, 9, 12)),  # I V vi IV
    ((9, 12, 16), (5, 9, 12), (0, 4, 7), (7, 11, 14)),  # vi IV I V
    ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14)),  # I vi IV V
    ((2, 5, 9), (7, 11, 14), (0, 4, 7), (9, 12, 16)),  # ii V I vi
)
_SCALE = np.array([0, 2, 4, 7, 9])  # major pentatonic: no note of it jars with these chords
_SUNG = {3: (0.0, 1.0, 1.5, 2.0), 4: (0.0, 1.0, 1.5, 2.5, 3.0)}  # beats on which the melody may move


_PANS = {"hat": -0.25, "open hat": -0.25, "ride": -0.3, "rim": 0.3, "conga": 0.25}
_LIVELY = ("hat", "open hat", "ride", "conga")  # not struck twice with the same strength


@dataclass(frozen=True)
class SynthSong:
    """``samples``: (n, 2) float32, full scale is 1; ``beats`` and ``downbeats`` in seconds, within the samples."""

    samples: NDArray[np.float32]
    rate: int
    beats: Array
    downbeats: Array

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


def synthesise(
    tempo: float = 120.0,
    meter: int = 4,
    *,
    bars: int | None = None,
    duration: float | None = None,
    seed: int = 0,
    style: str = "pop",
    swing: float = 0.0,
    tempo_end: float | None = None,
    ritardando: float = 0.0,
    syncopation: float = 0.0,
    breaks: Spans = (),
    solos: Spans = (),
    silences: Spans = (),
    looseness: float = 0.0,
) -> SynthSong:
    """A song of ``bars`` bars, or of ``duration`` seconds (20 where neither is given).

    ``tempo`` in beats a minute, changing evenly to ``tempo_end``; ``ritardando``: share of it lost over the
    last four bars; ``seed`` chooses key, chords and melody; ``style``: one of ``grooves.STYLES``; ``swing``:
    0 even eighths, 1 triplets; ``syncopation``: share of bass and melody notes played an eighth early;
    ``breaks``, ``solos``, ``silences``: pairs (first bar, bar after the last) in which bass and drums are
    silent, in which only the drums play, in which all are silent; ``looseness``: standard deviation in
    seconds by which each note misses its place.
    """
    tempo_end = tempo if tempo_end is None else tempo_end
    slowest = min(tempo, tempo_end) * (1.0 - ritardando)
    if bars is None:
        duration = 20.0 if duration is None else duration
        bars = int(np.ceil(duration * max(tempo, tempo_end) / 60.0 / meter))
    if slowest <= 0.0:
        raise ValueError("A song must keep going: choose a tempo above 0 and a ritardando below 1.")
    count = bars * meter
    tempi = np.linspace(tempo, tempo_end, max(count, 2))[:count]
    if duration is not None:
        # The beats that fit, so that the song slows down before it ends and not behind its end.
        count = min(int(np.searchsorted(np.cumsum(60.0 / tempi), duration)) + 1, count)
    last = min(4 * meter, count)
    tempi[count - last : count] *= 1.0 - ritardando * np.arange(last) / last
    tempi[count:] *= 1.0 - ritardando
    grid = np.concatenate([[0.0], np.cumsum(60.0 / tempi)])
    duration = grid[-1] if duration is None else duration
    band = _Band(grid, duration, meter, grooves(style, meter), swing, looseness, np.random.default_rng(seed))
    for bar in range(bars):
        rests = [any(first <= bar < last for first, last in spans) for spans in (breaks, solos, silences)]
        band.play_bar(bar, bars, rests[0] or rests[2], rests[1] or rests[2], syncopation)
    beats = grid[:-1][grid[:-1] < duration]
    return SynthSong(band.mixed(), RATE, beats, beats[::meter])


def write_wav(path: Path | str, song: SynthSong) -> None:
    """Write a song as 16-bit WAV, beside its place first, so that no half file is ever left there."""
    path = Path(path)
    levels = np.clip(np.round(song.samples * 32767.0), -32768, 32767).astype("<i2")
    with written_beside(path) as unfinished, wave.open(str(unfinished), "wb") as file:
        file.setnchannels(song.samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(song.rate)
        file.writeframes(levels.tobytes())


class _Band:
    """Players that write their notes onto two tracks: one dry, one that also sounds in the room."""

    def __init__(
        self,
        grid: Array,
        duration: float,
        meter: int,
        bars: tuple[Groove, ...],
        swing: float,
        looseness: float,
        random: np.random.Generator,
    ) -> None:
        self.grid, self.meter, self.bars, self.random = grid, meter, bars, random
        self.swing, self.looseness = swing, looseness
        self.length = round(duration * RATE)
        self.dry, self.wet = np.zeros((self.length, 2)), np.zeros((self.length, 2))
        self.ducking = np.ones(self.length)
        self.root = 45 + int(random.integers(0, 8))  # MIDI: A2 to E3
        self.chords = _PROGRESSIONS[int(random.integers(len(_PROGRESSIONS)))]
        self.motif = self._motif()
        self.drums = {
            "kick": _kick(),
            "clap": _clap(random),
            "hat": _hat(random, 0.035),
            "open hat": _hat(random, 0.16),
            "ride": _hat(np.random.default_rng(1), 0.3),
            "rim": _struck(1900.0, 0.02),
            "conga": _struck(220.0, 0.09),
        }

    def _motif(self) -> list[list[tuple[float, float, int]]]:
        """Four bars of (beat, length in beats, step of the scale): a call, its echo, a rise and a way home."""
        sung = _SUNG.get(self.meter, tuple(float(beat) for beat in range(self.meter)))

        def bar(start: int, notes: int) -> list[tuple[float, float, int]]:
            inner = sorted(self.random.choice(len(sung) - 1, size=notes - 1, replace=False) + 1)
            places = [0.0, *(sung[place] for place in inner)]
            steps = start + np.concatenate([[0], np.cumsum(self.random.choice([-1, 1, 1, 2, -2], size=notes - 1))])
            ends = [*places[1:], float(self.meter)]
            return [(at, 0.92 * (end - at), int(step)) for at, end, step in zip(places, ends, steps, strict=True)]

        few, many = min(3, len(sung)), min(4, len(sung))
        call = bar(5, many)
        echo = [(at, length, step - 1) for at, length, step in call]
        return [call, echo, bar(6, many), bar(4, few)]

    def play_bar(self, bar: int, bars: int, drums_rest: bool, tones_rest: bool, syncopation: float) -> None:
        """All players' notes of one bar. The song builds up: drums and bass, chords, then the melody.

        The bass rests with the drums and with the other tones.
        """
        first = bar * self.meter
        groove, chord = self.bars[bar % len(self.bars)], self.chords[bar % 4]
        last = bar == bars - 1
        if not tones_rest:
            if groove.pad:
                self._pad(first, chord)
            self._strum(first, chord, groove)
        if not drums_rest:
            self._drum(first, groove, fill=bar % 4 == 3 and not last)
        if not drums_rest and not tones_rest:
            self._bass(first, chord, groove, syncopation)
        if not tones_rest and bar >= min(2, bars - 1):
            self._melody(first, chord, bar, syncopation, groove.attack)

    def _second(self, beat: float) -> float:
        """When a place in beats sounds; halves are delayed by the swing, all by chance where the band is loose."""
        whole, half = divmod(beat, 1.0)
        if abs(half - 0.5) < 1e-6:
            half += self.swing / 6.0
        exact = float(np.interp(whole + half, np.arange(len(self.grid)), self.grid))
        return max(exact + self.looseness * self.random.standard_normal(), 0.0) if self.looseness else exact

    def _add(self, track: Array, second: float, sound: Array, gain: float, pan: float = 0.0) -> None:
        """Add (n,) or (n, 2) sound at a time; ``pan`` from -1, left, to 1, right, at equal power."""
        first = round(second * RATE)
        sound = sound[: max(self.length - first, 0)]
        if sound.ndim == 1:
            angle = (pan + 1.0) * np.pi / 4.0
            sound = sound[:, None] * np.array([np.cos(angle), np.sin(angle)]) * np.sqrt(2.0)
        track[first : first + len(sound)] += gain * sound

    def _drum(self, first: int, groove: Groove, fill: bool) -> None:
        for name, hits in groove.drums.items():
            track, pan = (self.wet, 0.1) if name == "clap" else (self.dry, _PANS.get(name, 0.0))
            for beat, gain in hits:
                second = self._second(first + beat)
                if name in _LIVELY:
                    gain *= 1.0 + 0.15 * self.random.standard_normal()
                self._add(track, second, self.drums[name], gain, pan)
                if name == "kick":
                    self._duck(second)
        if fill and groove.drums:
            self._add(self.wet, self._second(first + self.meter - 0.5), self.drums["clap"], 0.15, -0.2)

    def _duck(self, second: float) -> None:
        """Chords make room for the kick, which lets both be heard."""
        first = round(second * RATE)
        gain = 1.0 - 0.45 * np.exp(-np.arange(round(0.3 * RATE)) / (0.09 * RATE))
        gain = gain[: max(self.length - first, 0)]
        self.ducking[first : first + len(gain)] = np.minimum(self.ducking[first : first + len(gain)], gain)

    def _bass(self, first: int, chord: tuple[int, ...], groove: Groove, syncopation: float) -> None:
        low = self.root - 12 + chord[0] - (12 if chord[0] > 7 else 0)
        for at, length, step, gain in groove.bass:
            early = 0.5 if at > 0 and self.random.random() < syncopation else 0.0
            tone = (1.0, 0.5, 0.3, 0.12, 0.06)
            self._note(self.dry, first + at - early, length, low + step, 0.42 * gain, tone, 1.6, attack=groove.attack)

    def _strum(self, first: int, chord: tuple[int, ...], groove: Groove) -> None:
        """Chords at once and note by note."""
        tone = (1.0, 0.55, 0.3, 0.2, 0.1)
        for at, length, gain in groove.stabs:
            for index, step in enumerate(chord):
                pan = 0.35 * (index - 1)
                pitch = self.root + 12 + step
                self._note(self.wet, first + at, length, pitch, gain, tone, 6.0, pan, groove.attack)
        for index, (at, which, gain) in enumerate(groove.arpeggio):
            pan = 0.4 * (-1.0) ** index
            pitch = self.root + 12 + chord[which]
            self._note(self.wet, first + at, 0.45, pitch, gain, tone, 6.0, pan, groove.attack)

    def _pad(self, first: int, chord: tuple[int, ...]) -> None:
        begin, end = self._second(first), self._second(first + self.meter)
        seconds = np.arange(round((end - begin + 0.12) * RATE)) / RATE
        rise, fall = np.clip(seconds / 0.09, 0, 1), np.clip((seconds[-1] - seconds) / 0.15, 0, 1)
        sound = np.zeros((len(seconds), 2))
        for step in chord:
            for side, cents in ((0, -5.0), (1, 5.0)):
                frequency = _hertz(self.root + 12 + step + cents / 100.0)
                for harmonic in range(1, 6):
                    sound[:, side] += np.sin(2 * np.pi * harmonic * frequency * seconds) / harmonic**1.8
        level = (rise * fall)[:, None] * sound
        stop = round(begin * RATE)
        level = level[: max(self.length - stop, 0)]
        level *= self.ducking[stop : stop + len(level), None]
        self._add(self.wet, begin, level, 0.035)

    def _melody(self, first: int, chord: tuple[int, ...], bar: int, syncopation: float, attack: float) -> None:
        pitch: float
        for index, (at, length, step) in enumerate(self.motif[bar % 4]):
            pitch = self.root + 12 + int(_SCALE[step % 5]) + 12 * (step // 5)
            if index == 0:  # the bar's first note belongs to its chord
                tones = np.array([tone + 12 * octave for tone in chord for octave in (0, 1, 2)]) + self.root
                pitch = int(tones[np.argmin(np.abs(tones - pitch))])
            early = 0.5 if index > 0 and self.random.random() < syncopation else 0.0
            tone = (1.0, 0.35, 0.22, 0.08)
            self._note(self.wet, first + at - early, length + early, pitch, 0.13, tone, 1.8, 0.15, attack)

    def _note(
        self,
        track: Array,
        beat: float,
        length: float,
        pitch: float,
        gain: float,
        harmonics: tuple[float, ...],
        decay: float,
        pan: float = 0.0,
        attack: float = 0.006,
    ) -> None:
        """A plucked tone: each harmonic fades faster than the one below it; ``decay`` in 1/s of the first."""
        begin, end = self._second(beat), self._second(beat + length)
        seconds = np.arange(round((end - begin + 0.05) * RATE)) / RATE
        envelope = np.clip(seconds / attack, 0, 1) * np.clip((seconds[-1] - seconds) / 0.05, 0, 1)
        frequency, sound = _hertz(pitch), np.zeros(len(seconds))
        for order, level in enumerate(harmonics, start=1):
            sound += level * np.sin(2 * np.pi * order * frequency * seconds) * np.exp(-decay * order * seconds)
        self._add(track, begin, envelope * sound, gain, pan)

    def mixed(self) -> NDArray[np.float32]:
        """Both tracks with the room, limited softly, at 0.9 of full scale, (n, 2) float32."""
        fade = np.clip((self.length - np.arange(self.length)) / (0.05 * RATE), 0, 1)[:, None]
        mix = np.tanh(1.1 * (self.dry + self.wet + 0.22 * _room(self.wet, self.random))) * fade
        return (0.9 * mix / max(float(np.abs(mix).max()), 1e-9)).astype(np.float32)


def _hertz(pitch: float) -> float:
    """Frequency of a MIDI pitch in equal temperament."""
    return 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)


def _kick() -> Array:
    seconds = np.arange(round(0.32 * RATE)) / RATE
    frequency = 47.0 + 120.0 * np.exp(-seconds / 0.028)
    body = np.sin(2 * np.pi * np.cumsum(frequency) / RATE) * np.exp(-seconds / 0.11)
    return body * np.clip(seconds / 0.001, 0, 1) * np.clip((seconds[-1] - seconds) / 0.02, 0, 1)


def _clap(random: np.random.Generator) -> Array:
    seconds = np.arange(round(0.22 * RATE)) / RATE
    bursts = sum(np.where(seconds >= at, np.exp(-(seconds - at) / 0.008), 0.0) for at in (0.0, 0.011, 0.021))
    envelope = 0.6 * bursts + np.where(seconds >= 0.021, np.exp(-(seconds - 0.021) / 0.06), 0.0)
    return _noise(random, len(seconds), 900.0, 4500.0) * envelope


def _hat(random: np.random.Generator, decay: float) -> Array:
    seconds = np.arange(round(5 * decay * RATE)) / RATE
    return _noise(random, len(seconds), 7000.0, 15000.0) * np.exp(-seconds / decay)


def _struck(frequency: float, decay: float) -> Array:
    """Wood or skin: a tone and its first overtone of a round skin, 1.59 times as high."""
    seconds = np.arange(round(6 * decay * RATE)) / RATE
    tone = np.sin(2 * np.pi * frequency * seconds) + 0.5 * np.sin(2 * np.pi * 1.59 * frequency * seconds)
    return tone / 1.5 * np.exp(-seconds / decay) * np.clip(seconds / 0.001, 0, 1)


def _noise(random: np.random.Generator, count: int, low: float, high: float) -> Array:
    """Noise between two frequencies (Hz), largest value 1."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1.0 / RATE)
    with np.errstate(divide="ignore"):
        spectrum *= 1.0 / (1.0 + (frequency / high) ** 6) / (1.0 + (low / np.maximum(frequency, 1e-3)) ** 6)
    noise = np.fft.irfft(spectrum, count)
    return noise / np.abs(noise).max()


def _room(track: Array, random: np.random.Generator) -> Array:
    """The track's echo in a small hall: noise that dies away within 1.2 s, each side its own, in blocks."""
    count = round(1.2 * RATE)
    seconds = np.arange(count) / RATE
    echo = np.stack([_noise(random, count, 250.0, 5000.0) for _ in range(2)], axis=1)
    echo *= (np.exp(-seconds / 0.28) * np.clip(seconds / 0.012, 0, 1))[:, None]
    echo /= np.sqrt((echo**2).sum(axis=0))
    size = 1 << int(np.ceil(np.log2(4 * count)))
    block = size - count
    transfer = np.fft.rfft(echo, size, axis=0)
    sound = np.zeros((len(track) + size, 2))
    for first in range(0, len(track), block):
        part = np.fft.irfft(np.fft.rfft(track[first : first + block], size, axis=0) * transfer, axis=0)
        sound[first : first + size] += part
    return sound[: len(track)]
