"""Where dances are made: on a GPU if there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from stepsmith.backend.choreography import Choreographer, Wish
from stepsmith.backend.dance import weights
from stepsmith.backend.dance.model import DanceModel
from stepsmith.retarget.errors import StepsmithError


@pytest.mark.parametrize(("there", "device"), [(True, "cuda"), (False, "cpu")])
def test_the_model_is_moved_to_a_gpu_where_there_is_one(
    song: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch, there: bool, device: str
) -> None:
    asked: list[object] = []

    class Movable(DanceModel):
        def to(self, *where: object, **_: object) -> Movable:  # type: ignore[override]
            asked.append(*where)
            return self

    def load(file: Path | None) -> DanceModel:
        model = load_model(file)
        model.__class__ = Movable
        return model

    load_model = weights.load_model
    monkeypatch.setattr(weights, "load_model", load)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    choreographer = Choreographer(small_model)
    assert len(choreographer.dance(Wish(song, genre="tango", duration=2.0))) == 60
    assert len(next(choreographer.stream(Wish(song, genre="tango", duration=2.0)))) == 60
    assert asked == [device], "once, for both"


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        ("DefaultCPUAllocator: can't allocate memory", MemoryError, ""),
        ("CUDA out of memory. Tried to allocate", StepsmithError, "The GPU has not enough free memory"),
        ("CUDA error: out of memory", StepsmithError, "The GPU has not enough free memory"),
    ],
)
def test_memory_that_runs_out_is_told_as_such(
    song: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch, words: str, error: type[Exception], told: str
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(DanceModel, "denoise", full)
    with pytest.raises(error, match=told):
        Choreographer(small_model).dance(Wish(song, duration=2.0))
    with pytest.raises(error, match=told):
        next(Choreographer(small_model).stream(Wish(song, duration=2.0)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_song_is_danced_to_on_a_gpu_as_on_the_processor(
    song: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = Wish(song, genre="tango", seed=2)
    there, streamed = Choreographer(small_model).dance(wish), list(Choreographer(small_model).stream(wish))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    here, parts = Choreographer(small_model).dance(wish), list(Choreographer(small_model).stream(wish))
    for one, other in zip([here, *parts], [there, *streamed], strict=True):
        # bfloat16 multiplies in another order
        assert np.median(np.linalg.norm(one.positions() - other.positions(), axis=-1)) < 0.05
