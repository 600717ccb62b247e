"""Sentences on a dance, by the facts that its motion carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MOST = 8  # changes that a sentence names


def heard_and_danced(meta: Mapping[str, Any]) -> list[str]:
    """Sentences on the song's tempo and metre, or each song's of a mix, and on the genres, by a motion's ``meta``.

    Seconds are those of the dance. None where it does not tell, or not so that it can be told: anybody may have
    written it.
    """
    try:
        (_, tempo, meter), *songs = meta.get("songs", [[0.0, meta["tempo"], meta["meter"]]])
        others = [(second, f"{tempo:.0f} in bars of {meter:d}") for second, tempo, meter in songs]
        return [
            f"Heard {tempo:.0f} beats a minute in bars of {meter:d}{_later(others)}.",
            f"Danced {meta['genre']:s}{_later(meta.get('genre_changes', []))}.",
        ]
    except (KeyError, OverflowError, TypeError, ValueError):
        return []


def _later(changes: Sequence[tuple[float, str]]) -> str:
    told = "".join(f", from {second:.1f} s on {what:s}" for second, what in changes[:_MOST])
    return f"{told}, and {len(changes) - _MOST} more" if len(changes) > _MOST else told
