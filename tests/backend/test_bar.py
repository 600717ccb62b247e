"""Progress is told where there is no terminal too."""

from __future__ import annotations

import time

import pytest
from stepsmith.backend.bar import left_out, progress_bar


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


def test_what_was_done_in_an_earlier_run_took_no_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress_bar() as progress:
        progress(0.0, "Reading the dances")
        for second in (20, 70):
            now = float(second)
            progress(0.5 + 0.001 * second, f"Step {second}")
    assert capsys.readouterr().err == " 57%  0:07:10 left  Step 70\n"


def test_what_is_left_out_is_named_once_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with left_out("file") as skip:
        for sentence in ("deaf.wav: no sound", "holiday.bvh: no motion", "deaf.wav: no sound"):
            skip(sentence)
    with left_out("song") as skip:
        skip("empty.mp3: no sound")
    with left_out("song"):
        pass
    with left_out("file", quiet=True) as skip, progress_bar(quiet=True) as progress:
        skip("deaf.wav: no sound")
        progress(0.5, "Step 1")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "Left out: deaf.wav: no sound",
        "Left out: holiday.bvh: no motion",
        "2 files were left out.",
        "Left out: empty.mp3: no sound",
        "1 song was left out.",
    ]
