"""Progress is told where there is no terminal too."""

from __future__ import annotations

import time

import pytest
from stepsmith.backend.bar import progress_bar


def test_a_log_gets_a_line_now_and_then_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress_bar() as progress:
        for second in range(120):
            now = 100.0 + second
            # A fifth had been done before.
            progress(0.2 + 0.8 * second / 240.0, f"Watching the dancer, frame {second} of 240")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        " 30%  0:03:30 left  Watching the dancer, frame 30 of 240",
        " 40%  0:03:00 left  Watching the dancer, frame 60 of 240",
        " 50%  0:02:30 left  Watching the dancer, frame 90 of 240",
    ]


def test_no_time_is_told_while_none_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress_bar() as progress:
        now = 40.0
        progress(0.0, "Watching the dancer, frame 900")
    assert capsys.readouterr().err == "  0%  Watching the dancer, frame 900\n"
