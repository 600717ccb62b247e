"""How much more energy a trained model must be told for its dances to have what was wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..progress import Progress, silent
from .controls import Controls
from .energy import measure_energy
from .model import DanceModel
from .plan import plan_dance
from .sampler import sample
from .timing import song_of
from .tracks import Track

_DANCES, _SECONDS = 6, 30.0  # dances of a genre that tell, at most, and how long they are
_MORE = 0.25  # octaves told on trial: by how much they help, the rest is guessed
_GAIN = (0.3, 1.5)  # octaves danced for an octave told that are believed
_MOST = 0.75  # octaves


def calibrate(model: DanceModel, tracks: Sequence[Track], progress: Progress = silent) -> None:
    """Set ``model.shortfall`` by dances to the songs of ``tracks``, for each genre that has any.

    A model that was taught by squared errors, and not for ever, moves less than the dancers did; told more energy, it
    moves as they do, by steps that they made. Dances are made with the energy that is usual and with more, of the same
    noise; a line through both tells what is needed.
    """
    genres = model.config.genres
    model.shortfall.zero_()
    for genre, name in enumerate(genres):
        progress(genre / len(genres), f"Measuring the energy of {name}")
        own = [track for track in tracks if track.genre == genre]
        own = sorted(own, key=lambda track: track.seconds, reverse=True)[:_DANCES]
        if own:
            missing = _missing(model, own)
            model.shortfall[genre] = _MORE
            gain = float(np.clip((missing - _missing(model, own)) / _MORE, *_GAIN))
            model.shortfall[genre] = float(np.clip(missing / gain, -_MOST, _MOST))
    model.shortfall[-1] = model.shortfall[:-1].mean()


def _missing(model: DanceModel, tracks: Sequence[Track]) -> float:
    """Octaves by which the joints of dances to the tracks' songs travel less than was wanted."""
    missing = []
    for seed, track in enumerate(tracks):
        music = song_of(track.music, 0.0, min(_SECONDS, track.seconds))
        plan = plan_dance(music, model.config.genres[track.genre], Controls(), model)
        (features,) = sample(model, [plan.cues(seed)], plan.shares, seeds=[seed])
        dance = plan.finish(features)
        wanted, danced = plan.energy(seed), measure_energy(dance.positions(), dance.fps)
        missing.append(np.log2(np.mean(np.exp2(wanted)) / np.mean(np.exp2(danced))))
    return float(np.mean(missing))
