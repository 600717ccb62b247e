"""Sentences on a dance by its meta."""

from __future__ import annotations

from typing import Any

import pytest
from stepsmith.retarget.telling import heard_and_danced


def test_the_song_and_its_genre_are_told() -> None:
    assert heard_and_danced({"tempo": 87.4, "meter": 3, "genre": "waltz"}) == [
        "Heard 87 beats a minute in bars of 3.",
        "Danced waltz.",
    ]


def test_a_long_mix_is_told_in_short() -> None:
    songs = [[60.0 * i, 100.0 + i, 4] for i in range(20)]
    facts = {"tempo": 100.0, "meter": 4, "songs": songs, "genre": "tango", "genre_changes": [[60.0, "rumba"]]}
    heard, danced = heard_and_danced(facts)
    assert heard.startswith("Heard 100 beats a minute in bars of 4, from 60.0 s on 101 in bars of 4, from 120.0 s on")
    assert heard.endswith("from 480.0 s on 108 in bars of 4, and 11 more.")
    assert danced == "Danced tango, from 60.0 s on rumba."


@pytest.mark.parametrize(
    "wrong",
    [
        {"tempo": "fast"},
        {"tempo": None},
        {"tempo": 10**400},
        {"tempo": [120.0]},
        {"meter": 3.5},
        {"meter": "4"},
        {"genre": 7},
        {"genre": None},
        {"genre_changes": 5},
        {"genre_changes": {"20": "tango"}},
        {"genre_changes": [[20.0]]},
        {"genre_changes": [["20", "tango"]]},
        {"genre_changes": [[20.0, 3]]},
        {"songs": []},
        {"songs": 3},
        {"songs": [[0.0, 120.0]]},
        {"songs": [[0.0, 120.0, 4], ["1", 100.0, 4]]},
    ],
)
def test_what_can_not_be_told_is_not(wrong: dict[str, Any]) -> None:
    assert heard_and_danced({"tempo": 120.0, "meter": 4, "genre": "salsa"} | wrong) == []
    assert heard_and_danced({}) == []
