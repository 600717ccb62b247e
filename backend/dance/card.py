"""The model card that training writes beside its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ... import __version__
from .tracks import Track

# Minutes of a genre under which it is hardly learned.
_LITTLE = 10.0


def model_card(
    genres: Sequence[str], tracks: Sequence[Track], parameters: int, training: Mapping[str, object], held_out: str
) -> str:
    """Markdown that says what weights are and what they come from.

    ``parameters``: how many; ``training``: facts by name; ``held_out``: what was measured on dances kept back.
    """
    lines, poor = [], []
    for index, genre in enumerate(genres):
        own = [track for track in tracks if track.genre == index]
        minutes = sum(track.seconds for track in own) / 60
        heard = sum(track.seconds for track in own if track.music.mel.any()) / 60
        lines.append(f"| {genre} | {len(own)} | {minutes:.1f} | {heard:.1f} |")
        if minutes < _LITTLE:
            poor.append(genre)
    facts = ", ".join(f"{name} {value}" for name, value in training.items())
    little = f" There is little of {', '.join(poor)} in the data: expect the same few figures." if poor else ""
    return f"""# Model card: model.safetensors

**What it is.** A dance model for `stepsmith dance --model`, of {parameters / 1e6:.1f} million parameters, trained by
Stepsmith {__version__}.

**Data.** Learned from, each also mirrored, and played faster and slower:

| genre | dances | minutes | of them with music |
|---|---|---|---|
{chr(10).join(lines)}

**Training.** {facts}.

**Figures.** {held_out} `stepsmith evaluate dance --data DIR --model model.safetensors` measures more.

**Licence.** That of the dances and songs it was trained on, which Stepsmith does not know: write it here before you
pass the weights on.

**What it can't do.** Other genres than those above.{little} Fingers, faces and partners are not learned.
"""
