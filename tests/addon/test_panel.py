"""What the panel says."""

from __future__ import annotations

import pytest
from stepsmith.addon.panel import time_left


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s left"), (-1.0, "0 s left"), (59.4, "59 s left"), (59.6, "1 min 0 s left"), (7300.0, "2 h 1 min left")],
)
def test_time_left_is_said_as_people_say_it(seconds: float, text: str) -> None:
    assert time_left(seconds) == text
