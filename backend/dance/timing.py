"""The dancers' own clock: where beats and bars fall in recorded dances, found in the motion alone.

Recorded dances need not keep time with the sound they are stored with: in tang2018 every waltz moves at
31 bars a minute and every cha-cha and rumba at 30, whatever the tempo of the song. What a model
is to learn, steps on the beat, is there all the same once the song is re-timed to the dancer
(``Music.retimed``).

Dancers of one genre share a pattern a bar: when the hips sink, when feet travel and when they brake. The
pattern (Fourier coefficients of six signals over a bar) and every dance's phase over time are found in turn,
each from the other, until they agree; the phase is a smooth path (Viterbi) near the genre's tempo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ...retarget.motion import Motion
from ...retarget.rotations import Array
from ..audio import FEATURE_FPS, MEL_BANDS, Music
from .sources import Dance

Complex = NDArray[np.complex128]

_FEET = [[7, 10], [8, 11]]  # ankle and toe, left and right
_SPREAD = 2.5  # s, Gaussian window in which a phase is measured
_STEP = 1.0  # s between measurements
_PHASES = np.arange(96) / 96
_STEADINESS = 300.0  # cost of a squared bar that the phase leaves the nominal tempo in one step
_ROUNDS = 10
_LONG_ENOUGH = 10.0  # s of a dance whose figure can be found
_EVENNESS = 50.0  # cost of a squared octave that a step between arrivals strays, in mean pulses
_HEIGHT, _BRAKE, _BODY = 0, 2, 5  # rows of the signals
_TEMPOS, _USUAL_TEMPO = (80.0, 160.0), 110.0  # beats a minute, of dances without music
_ENOUGH = 300.0  # s of dances that tell whether they keep time
_OTHER_SPEEDS = np.geomspace(0.03, 0.2, 12)  # shares by which motions are slowed down and sped up
_STANDING_OUT = 2.5  # deviations by which the concentration of phases must stand out
_UNUSUAL = 2.0  # cost of a squared octave from the usual tempo, in correlations of one


@dataclass(frozen=True)
class Figure:
    """How a genre keeps time.

    ``bars``: nominal bars a minute of the dancers; ``meter``: beats a bar; ``downbeat``: the phase of the bar,
    counted from where the hips are highest, that lies nearest to its first beat; ``landing``: seconds from
    a foot's strongest braking to the beat, chosen between 0 and 0.1 (it stands by then) such that the
    joints' speed is least nearest to the beats.
    """

    bars: float
    meter: int
    downbeat: float
    landing: float


# Waltz: lowest before the large first step. Cha-cha and rumba: large steps on 2 and 4, hips highest over 1.
# Tango is danced level and in phrases that are no whole bars: its beats are sure, its bars are a guess.
FIGURES = {
    "waltz": Figure(31.0, 3, 0.75, 0.0),
    "cha-cha": Figure(30.0, 4, 0.0, 0.1),
    "rumba": Figure(30.0, 4, 0.0, 0.0),
    "tango": Figure(30.4, 4, 0.0, 0.1),
}


def beats_a_bar(genre: str) -> int:
    """Of the dances of a genre: four where no figure says otherwise."""
    return FIGURES[genre].meter if genre in FIGURES else 4


def set_to_music(dances: Sequence[Dance], songs: Sequence[Music | None]) -> list[Music]:
    """What each dance is danced to, as long as its motion, and in its time.

    Dancers who keep time with their song have it as it is. For the others, the beats of their own motion count: the
    song is re-timed to them, by the figure of the genre where one is known.
    ``songs``: those of the dances, whole; None where there is none. Whether dancers keep time is measured
    over all dances of which nobody has said so.
    """
    unsure = [(d.motion, s) for d, s in zip(dances, songs, strict=True) if s is not None and d.in_time is None]
    guess = keeps_time(*zip(*unsure, strict=True)) if unsure else False
    found: dict[int, Music] = {}
    known: dict[str, list[int]] = {}
    for k, (dance, song) in enumerate(zip(dances, songs, strict=True)):
        in_time = guess if dance.in_time is None else dance.in_time
        if song is not None and in_time:
            found[k] = song_of(song, dance.start, dance.motion.duration)
        elif dance.genre in FIGURES and dance.motion.duration >= _LONG_ENOUGH:
            known.setdefault(dance.genre, []).append(k)
        elif song is None:
            found[k] = unpaired_music(dance.motion)
        else:
            beats = arrivals(dance.motion, own_tempo(dance.motion))
            found[k] = dancers_music(song, dance.motion, beats, beats[::4], 4)
    for genre, group in known.items():
        clocks = keep_time([dances[k].motion for k in group], FIGURES[genre])
        for k, (beats, downbeats) in zip(group, clocks, strict=True):
            found[k] = dancers_music(songs[k], dances[k].motion, beats, downbeats, FIGURES[genre].meter)
    return [found[k] for k in range(len(dances))]


def keep_time(motions: Sequence[Motion], figure: Figure) -> list[tuple[Array, Array]]:
    """Beats and downbeats (seconds) of dances of one genre, one pair a dance.

    The more dances, the surer the shared pattern; each must last ``_LONG_ENOUGH`` or more.
    """
    rate, harmonics = figure.bars / 60.0, 2 * figure.meter
    measured = [_measure(motion, rate, harmonics) for motion in motions]
    orders = np.arange(1, harmonics + 1)
    pattern = np.zeros((measured[0][1].shape[1], harmonics), dtype=complex)
    # To begin with: hips go up and down once a bar, feet brake on every beat.
    pattern[_HEIGHT, 0], pattern[_BRAKE, figure.meter - 1] = 1.0, 0.5
    for _ in range(_ROUNDS):
        paths = [_path(coefficients, pattern) for _, coefficients in measured]
        turned = [
            np.mean(coefficients * np.exp(-2j * np.pi * orders * path[:, None])[:, None], axis=0)
            for (_, coefficients), path in zip(measured, paths, strict=True)
        ]
        pattern = np.mean(turned, axis=0)
        pattern /= np.linalg.norm(pattern)
    origin = _origin(pattern, figure, rate)
    return [
        _beats(motion, centres, path - origin, rate, figure.meter)
        for motion, (centres, _), path in zip(motions, measured, paths, strict=True)
    ]


def arrivals(motion: Motion, tempo: float) -> Array:
    """Beats (B,) seconds where the dancer arrives, about ``tempo`` of them a minute.

    Dancers stress a beat by arriving: the joints' mean speed has a minimum there (Davis and Agrawala, "Visual
    Rhythm and Beat", 2018), often well before or after the even beat. The chain of beats gathers the deepest
    minima at nearly even steps, by dynamic programming (Ellis, "Beat Tracking by Dynamic Programming", 2007).
    """
    fps = motion.fps
    pulse = gaussian_filter1d(_pulses(motion), 0.04 * fps)
    period = 60.0 * fps / tempo
    steps = np.arange(round(0.6 * period), round(1.7 * period) + 1)
    cost = _EVENNESS * np.log2(steps / period) ** 2 * pulse.mean()
    best, came = np.array(pulse), np.full(len(pulse), -1)
    for frame in range(steps[0], len(pulse)):
        reach = steps[steps <= frame]
        options = best[frame - reach] - cost[: len(reach)]
        choice = int(np.argmax(options))
        best[frame] += options[choice]
        came[frame] = frame - reach[choice]
    frame = len(best) - steps[-1] + int(np.argmax(best[-steps[-1] :]))
    chain = []
    while frame >= 0:
        chain.append(frame)
        frame = int(came[frame])
    return (np.array(chain[::-1]) + 0.5) / fps


def own_tempo(motion: Motion) -> float:
    """Arrivals a minute, 80 to 160, that the motion's own rhythm suggests.

    Where feet brake, joints slow down and hips go up and down, they do so again after one, two and four beats: the
    tempo at which those signals are most like themselves (autocorrelation), and near enough to 110. Dances in three
    seem a third faster than they are: four such beats make their bar.
    """
    tempos = np.geomspace(*_TEMPOS, 200)
    lags = 60.0 / tempos * motion.fps
    signals = _signals(motion)[:, [_HEIGHT, _BRAKE, _BODY]]
    alike = np.zeros(len(tempos))
    for signal, weight in zip(signals.T, (0.2, 0.7, 1.0), strict=True):
        repeated = _autocorrelation(np.clip(signal, -4.0, 4.0), motion.fps)
        for beats, share in ((1, 1.0), (2, 1.0), (3, 0.5), (4, 1.0)):
            alike += weight * share * np.interp(beats * lags, np.arange(len(repeated)), repeated)
    return float(tempos[np.argmax(alike - _UNUSUAL * np.log2(tempos / _USUAL_TEMPO) ** 2)])


def unpaired_music(motion: Motion) -> Music:
    """What a dance without music is danced to: beats where the dancer arrives, four a bar, and no sound.

    Where the motion knows its beats, those. Its downbeats are every fourth beat from the first, a guess.
    """
    if motion.beats is not None and len(motion.beats) > 1:
        beats = np.array(motion.beats)
    else:
        beats = arrivals(motion, own_tempo(motion))
    tempo = 60.0 / float(np.median(np.diff(beats)))
    frames = int(np.ceil(motion.duration * FEATURE_FPS))
    mel, onset = np.zeros((frames, MEL_BANDS), np.float32), np.zeros(frames, np.float32)
    return Music(motion.duration, tempo, 4, beats, beats[::4], mel, onset)


def keeps_time(motions: Sequence[Motion], songs: Sequence[Music]) -> bool:
    """Whether dancers keep time with their songs, as far as five minutes or more of them tell; else taken for granted.

    Those who do arrive at the same phase of the beat, or of half of it, again and again; and no longer when
    the motion is played a few per cent slower or faster. So the concentration of phases as it is should
    stand out from those at other speeds.
    """
    if sum(motion.duration for motion in motions) < _ENOUGH:
        return True
    curves = [_locking(motion, song) for motion, song in zip(motions, songs, strict=True) if len(song.beats) > 1]
    if not curves:
        return False
    as_it_is, *others = np.mean(curves, axis=0)
    return bool(as_it_is > np.mean(others) + _STANDING_OUT * np.std(others))


def song_of(song: Music, start: float, duration: float) -> Music:
    """``duration`` seconds of the song from ``start`` on, silence where it has ended."""
    frames = int(np.ceil(duration * FEATURE_FPS))
    first = round(start * FEATURE_FPS)
    heard = max(0, min(frames, len(song.mel) - first))
    mel, onset = np.zeros((frames, MEL_BANDS), np.float32), np.zeros(frames, np.float32)
    mel[:heard], onset[:heard] = song.mel[first : first + heard], song.onset[first : first + heard]
    return replace(
        song, duration=duration, beats=song.beats - start, downbeats=song.downbeats - start, mel=mel, onset=onset
    )


def dancers_music(song: Music | None, motion: Motion, beats: Array, downbeats: Array, meter: int) -> Music:
    """The song played in the dancer's time, as long as the motion, beats where the dancer arrives.

    ``beats``, ``downbeats``: of ``keep_time``. Where the song has ended, or without one, only the beats are
    known: no spectrum, no onsets.
    """
    tempo = 60.0 / float(np.median(np.diff(beats)))
    frames = int(np.ceil(motion.duration * FEATURE_FPS))
    mel, onset = np.zeros((frames, MEL_BANDS), np.float32), np.zeros(frames, np.float32)
    if song is not None:
        played = song.retimed(beats, downbeats)
        heard = min(frames, len(played.mel))
        mel[:heard], onset[:heard] = played.mel[:heard], played.onset[:heard]
    return Music(motion.duration, tempo, meter, arrivals(motion, tempo), downbeats, mel, onset)


def _pulses(motion: Motion) -> Array:
    """(T - 1,) how deep the mean speed of the joints sinks, 0 to 1, where it has a minimum; 0 elsewhere."""
    fps = motion.fps
    speed = np.linalg.norm(np.diff(motion.positions(), axis=0), axis=-1).mean(axis=1)
    speed = gaussian_filter1d(speed, 0.083 * fps)
    minima = np.flatnonzero((speed[1:-1] < speed[:-2]) & (speed[1:-1] <= speed[2:])) + 1
    depth = 1.0 - speed[minima] / (gaussian_filter1d(speed, 0.5 * fps)[minima] + 1e-9)
    pulse = np.zeros(len(speed))
    pulse[minima] = np.sqrt(np.clip(depth, 0.0, 1.0))
    return pulse


def _locking(motion: Motion, song: Music) -> Array:
    """How concentrated the arrivals' phases of beat and half beat are, at the motion's own speed first, then others."""
    pulse = _pulses(motion)
    at = np.flatnonzero(pulse)
    weight, seconds = pulse[at], (at + 0.5) / motion.fps
    found = []
    for speed in (1.0, *(1.0 + _OTHER_SPEEDS), *(1.0 - _OTHER_SPEEDS)):
        played = seconds.mean() + (seconds - seconds.mean()) * speed
        within = (played >= song.beats[0]) & (played <= song.beats[-1])
        phase = np.interp(played[within], song.beats, np.arange(len(song.beats)))
        turns = np.exp(2j * np.pi * np.outer([1, 2], phase)) @ weight[within]
        found.append(np.sum(np.abs(turns) ** 2) / (weight[within].sum() + 1e-9) ** 2)
    return np.array(found)


def _autocorrelation(signal: Array, fps: float) -> Array:
    """(T,) how alike the signal is to itself so many frames later, 1 at 0, slow changes left out."""
    signal = signal - gaussian_filter1d(signal, fps)
    spectrum = np.fft.rfft(signal, 2 * len(signal))
    product = np.fft.irfft(np.abs(spectrum) ** 2)[: len(signal)]
    return product / (product[0] + 1e-9) * len(signal) / (len(signal) - np.arange(len(signal)))


def _signals(motion: Motion) -> Array:
    """What shows a bar, (T - 1, 6), zero mean, deviation 1, at the middles between frames.

    Height of the pelvis, its horizontal speed, braking of the feet, their speed, height of the ankles,
    mean speed of all joints.
    """
    fps, positions = motion.fps, motion.positions()
    velocity = np.diff(positions, axis=0) * fps
    speed = np.linalg.norm(velocity, axis=2)
    feet = gaussian_filter1d(np.stack([speed[:, foot].mean(axis=1) for foot in _FEET], axis=1), 0.032 * fps, axis=0)
    braking = np.maximum(0.0, -np.gradient(feet, axis=0)).sum(axis=1)

    def height(joints: list[int]) -> Array:
        level = positions[:, joints, 2].mean(axis=1)
        level = gaussian_filter1d(level - gaussian_filter1d(level, 1.6 * fps), 0.04 * fps)
        return (level[1:] + level[:-1]) / 2

    travel = gaussian_filter1d(np.linalg.norm(velocity[:, 0, :2], axis=1), 0.04 * fps)
    body = gaussian_filter1d(speed.mean(axis=1), 0.04 * fps)
    signals = np.stack([height([0]), travel, braking, feet.sum(axis=1), height([7, 8]), body], axis=1)
    return (signals - signals.mean(axis=0)) / (signals.std(axis=0) + 1e-9)


def _measure(motion: Motion, rate: float, harmonics: int) -> tuple[Array, Complex]:
    """Local Fourier coefficients at multiples of ``rate`` (1/s): centres (C,) s, values (C, 6, harmonics)."""
    signals = _signals(motion)
    seconds = (np.arange(len(signals)) + 0.5) / motion.fps
    centres = np.arange(2.0, max(seconds[-1] - 2.0, 3.0), _STEP)
    weight = np.exp(-0.5 * ((seconds - centres[:, None]) / _SPREAD) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    waves = np.exp(-2j * np.pi * rate * np.arange(1, harmonics + 1)[:, None] * seconds)
    return centres, np.stack([weight @ (signals * wave[:, None]) for wave in waves], axis=2)


def _path(coefficients: Complex, pattern: Complex) -> Array:
    """The phase (C,) in bars by which the pattern is shifted, along the likeliest smooth path, unwrapped."""
    orders = np.arange(1, pattern.shape[1] + 1)
    turns = np.exp(-2j * np.pi * np.outer(orders, _PHASES))
    evidence = np.einsum("csk,sk,kp->cp", coefficients, pattern.conj(), turns).real
    cost = _STEADINESS * ((_PHASES[:, None] - _PHASES + 0.5) % 1.0 - 0.5) ** 2
    score, back = evidence[0], []
    for row in evidence[1:]:
        options = score - cost
        back.append(np.argmax(options, axis=1))
        score = options.max(axis=1) + row
    path = [int(np.argmax(score))]
    for came in reversed(back):
        path.append(int(came[path[-1]]))
    return np.unwrap(_PHASES[np.array(path[::-1])], period=1.0)


def _origin(pattern: Complex, figure: Figure, rate: float) -> float:
    """The pattern's phase at the downbeat: the beat on which feet brake that lies where the figure says."""
    expected = -np.angle(pattern[_HEIGHT, 0]) / (2 * np.pi) + figure.downbeat
    braking = -np.angle(pattern[_BRAKE, figure.meter - 1]) / (2 * np.pi * figure.meter) + figure.landing * rate
    return float(braking + np.round((expected - braking) * figure.meter) / figure.meter)


def _beats(motion: Motion, centres: Array, path: Array, rate: float, meter: int) -> tuple[Array, Array]:
    """Beats and downbeats within the motion, from the bar's phase at ``centres`` beside the nominal rate."""
    smooth = gaussian_filter1d(path, 3.0 / _STEP, mode="nearest")
    seconds = np.arange(0.0, motion.duration + 0.01, 0.05)
    bars = rate * seconds + np.interp(seconds, centres, smooth)
    counts = np.arange(np.ceil(bars[0] * meter), np.floor(bars[-1] * meter) + 1)
    beats = np.interp(counts / meter, bars, seconds)
    return beats, beats[counts % meter == 0]
