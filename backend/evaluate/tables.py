"""Figures as the commands show them: Markdown tables for people, plain numbers for the files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..measures.metrics import Estimate

_LARGE = 1e5  # from here on a number is told by its power of ten


def table(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, the first of ``lines`` its head, columns aligned."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * width for width in widths]
    return [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |"
        for line in [lines[0], rule, *lines[1:]]
    ]


def cell(figure: Estimate | None, digits: int, scale: float = 1.0) -> str:
    """``value [low, high]`` times ``scale``, with ``digits`` after the point; a dash where there is no value."""
    if figure is None or not math.isfinite(figure.value):
        return "–"
    value, low, high = (_number(scale * number, digits) for number in (figure.value, figure.low, figure.high))
    return f"{value} [{low}, {high}]" if math.isfinite(figure.low) else value


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if abs(value) < _LARGE else f"{value:.1e}"


def figures_by_key(figures: Mapping[str, Estimate], always: Iterable[str] = ()) -> dict[str, object]:
    """Values by key, and ``intervals`` with [low, high] by key; None for what is not known.

    ``always``: keys that are there even where ``figures`` lack them.
    """
    numbers = {key: _numbers(figures.get(key)) for key in (*always, *figures)}
    values: dict[str, object] = {key: value for key, (value, _, _) in numbers.items()}
    return values | {"intervals": {key: [low, high] for key, (_, low, high) in numbers.items()}}


def _numbers(figure: Estimate | None) -> tuple[float | None, float | None, float | None]:
    if figure is None:
        return None, None, None
    return plain(figure.value), plain(figure.low), plain(figure.high)


def plain(value: float) -> float | None:
    """None for what is no number, as JSON knows none such."""
    return float(value) if math.isfinite(value) else None
