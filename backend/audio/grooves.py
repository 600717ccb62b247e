"""What the small band of ``synth`` plays in a bar: places in beats, gains of full scale.

A style is a bar, or several that follow one another, for a metre. The patterns are textbook ones: backbeat,
four on the floor, ride cymbal and walking bass, clave and tresillo, marcato and síncopa.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Hit = tuple[float, float]  # place, gain


@dataclass(frozen=True)
class Groove:
    """One bar.

    ``drums``: hits by name of the drum; ``bass``: (place, length, semitones above the chord's root, gain);
    ``stabs``: (place, length, gain) of whole chords; ``arpeggio``: (place, which note of the chord, gain);
    ``pad``: whether the chord is held; ``attack``: seconds in which tones rise.
    """

    drums: dict[str, tuple[Hit, ...]] = field(default_factory=dict)
    bass: tuple[tuple[float, float, int, float], ...] = ()
    stabs: tuple[tuple[float, float, float], ...] = ()
    arpeggio: tuple[tuple[float, int, float], ...] = ()
    pad: bool = True
    attack: float = 0.006


def grooves(style: str, meter: int) -> tuple[Groove, ...]:
    """The bars that a style repeats in a metre. Raises ValueError for a style nobody here plays."""
    if style not in _STYLES:
        raise ValueError(f"There is no style {style}: choose one of {', '.join(STYLES)}.")
    return _STYLES[style](meter)


def _hits(places: tuple[float, ...], gain: float) -> tuple[Hit, ...]:
    return tuple((place, gain) for place in places)


def _beats(meter: int, first: float = 0.0, step: float = 1.0) -> tuple[float, ...]:
    """Places from ``first`` to the end of the bar, ``step`` beats apart."""
    return tuple(first + step * k for k in range(round((meter - first) / step)))


def _eighths(meter: int, on: float, off: float) -> tuple[Hit, ...]:
    return tuple((place, on if place % 1.0 == 0.0 else off) for place in _beats(meter, 0.0, 0.5))


def _broken(meter: int) -> tuple[tuple[float, int, float], ...]:
    """The chord's notes one by one in eighths, those on the beat louder."""
    eighths = enumerate(_eighths(meter, 0.11, 0.05))
    return tuple((place, (0, 1, 2, 1)[index % 4], gain) for index, (place, gain) in eighths)


def _pop(meter: int) -> tuple[Groove, ...]:
    """Kick and clap in turn over a broken chord; in three, bass on 1 and the chord on 2 and 3."""
    *hats, last = _eighths(meter, 0.17, 0.11)
    cymbals = {"hat": tuple(hats), "open hat": (last,)}
    if meter == 3:
        drums = {"kick": ((0.0, 0.95),), "clap": _hits((1.0, 2.0), 0.16), **cymbals}
        return (Groove(drums, ((0.0, 1.8, 0, 1.0),), tuple((at, 0.45, 0.055) for at in (1.0, 2.0))),)
    drums = {"kick": _hits(_beats(meter, 0, 2), 0.95), "clap": _hits(_beats(meter, 1, 2), 0.34), **cymbals}
    bass = ((0.0, 0.9, 0, 1.0), (1.0, 0.4, 0, 0.6), (2.0, 0.9, 7, 1.0), (3.0, 0.4, 0, 0.6), (3.5, 0.35, 12, 0.4))
    return (Groove(drums, tuple(note for note in bass if note[0] < meter), arpeggio=_broken(meter)),)


def _house(meter: int) -> tuple[Groove, ...]:
    """A kick on every beat, bass and open hat between them."""
    drums = {
        "kick": _hits(_beats(meter), 0.9),
        "clap": _hits(_beats(meter, 1, 2), 0.3),
        "open hat": _hits(_beats(meter, 0.5), 0.2),
        "hat": _hits(_beats(meter, 0.25, 0.5), 0.06),
    }
    bass = tuple((at, 0.4, 0, 0.8) for at in _beats(meter, 0.5))
    stabs = tuple((at, 0.3, 0.06) for at in (0.0, 0.75, 1.5, 2.5, 3.25) if at < meter)
    return (Groove(drums, bass, stabs),)


def _funk(meter: int) -> tuple[Groove, ...]:
    """Sixteenths: ghost notes, a kick and a bass between the beats, a firm backbeat."""
    drums = {
        "kick": tuple((at, 0.85) for at in (0.0, 0.75, 2.5) if at < meter),
        "clap": _hits(_beats(meter, 1, 2), 0.36),
        "rim": tuple((at, 0.06) for at in (1.75, 2.25, 3.75) if at < meter),
        "hat": tuple((at, 0.15 if at % 1 == 0 else 0.1 if at % 0.5 == 0 else 0.06) for at in _beats(meter, 0, 0.25)),
    }
    bass = ((0.0, 0.5, 0, 1.0), (0.75, 0.4, 0, 0.7), (1.5, 0.3, 12, 0.5), (2.5, 0.5, 7, 0.8), (3.25, 0.3, 10, 0.5))
    stabs = tuple((at, 0.2, 0.06) for at in (1.0, 1.75, 3.0) if at < meter)
    return (Groove(drums, tuple(note for note in bass if note[0] < meter), stabs, pad=False),)


def _latin(meter: int) -> tuple[Groove, ...]:
    """Son clave over two bars, conga, a tresillo in the bass, a montuno that leaves out most beats."""
    shaker = tuple((at, 0.1 if at % 1 == 0 else 0.07) for at in _beats(meter, 0, 0.5))
    conga = tuple((at, gain) for at, gain in ((1.0, 0.2), (3.0, 0.35), (3.5, 0.35)) if at < meter)
    bass = tuple(note for note in ((0.0, 1.4, 0, 1.0), (1.5, 1.3, 7, 0.8), (3.0, 0.9, 12, 0.8)) if note[0] < meter)
    bars = []
    for clave, montuno in (((0.0, 1.5, 3.0), (0.0, 1.0, 1.5, 2.5, 3.5)), ((1.0, 2.0), (0.5, 1.5, 2.5, 3.5))):
        drums = {"rim": tuple((at, 0.25) for at in clave if at < meter), "conga": conga, "hat": shaker}
        bars.append(Groove(drums, bass, tuple((at, 0.4, 0.07) for at in montuno if at < meter), pad=False))
    return tuple(bars)


def _jazz(meter: int) -> tuple[Groove, ...]:
    """Ride cymbal, hat on 2 and 4 (in three: on 2), a walking bass, chords on 1 and before 2."""
    ride = tuple((at, 0.16 if at % 1 == 0 else 0.1) for at in (0.0, 1.0, 1.5, 2.0, 3.0, 3.5) if at < meter)
    drums = {"ride": ride, "hat": _hits(_beats(meter, 1, 2), 0.16), "kick": ((0.0, 0.15),)}
    bass = tuple((at, 0.85, step, 0.8) for at, step in zip(_beats(meter), (0, 4, 7, 9, 12, 9, 7, 4), strict=False))
    stabs = tuple((at, 0.4, 0.05) for at in (0.0, 1.5) if at < meter)
    return (Groove(drums, bass, stabs, pad=False),)


def _tango(meter: int) -> tuple[Groove, ...]:
    """No drums: short chords on every beat, each fourth bar in síncopa."""
    group = 2 if meter % 2 == 0 else meter
    bass = tuple((at, 0.4, 0, 1.0 if at % group == 0 else 0.6) for at in _beats(meter))
    marcato = Groove({}, bass, tuple((at, 0.25, 0.12 if at % group == 0 else 0.08) for at in _beats(meter)), pad=False)
    early = tuple(at for at in (0.0, 0.5, 1.5, 2.0, 3.0) if at < meter)
    sincopa = Groove({}, tuple((at, 0.4, 0, 0.9) for at in early), tuple((at, 0.3, 0.1) for at in early), pad=False)
    return (marcato, marcato, marcato, sincopa)


def _ballad(meter: int) -> tuple[Groove, ...]:
    """No drums: held strings and a broken chord played softly, tones that take time to rise."""
    return (Groove({}, ((0.0, meter - 0.1, 0, 0.7),), arpeggio=_broken(meter), attack=0.03),)


_STYLES: dict[str, Callable[[int], tuple[Groove, ...]]] = {
    "pop": _pop,
    "house": _house,
    "funk": _funk,
    "latin": _latin,
    "jazz": _jazz,
    "tango": _tango,
    "ballad": _ballad,
}
STYLES = tuple(_STYLES)
