"""How long work tells how far it is, and how it is stopped.

Whoever starts the work passes a ``Progress``; the work calls it every so often. Raising ``Cancelled``
from it ends the work: every stage lets it through and leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Callable

# Called with the share done, 0 to 1, and a short text such as "Finding the beats".
Progress = Callable[[float, str], None]


class Cancelled(Exception):  # noqa: N818 (not an error: somebody asked for it)
    """The work was stopped on request."""


def silent(fraction: float, text: str) -> None:
    """A Progress that tells nobody."""


def parts(progress: Progress | None, count: int) -> list[Progress]:
    """A Progress for each of ``count`` stages of the work that take as long as one another."""
    return [part(progress, number / count, (number + 1) / count) for number in range(count)]


def part(progress: Progress | None, first: float, last: float) -> Progress:
    """A Progress for one stage of the work, which fills the share from ``first`` to ``last`` of the whole.

    >>> seen = []
    >>> part(lambda fraction, text: seen.append((fraction, text)), 0.5, 1.0)(0.5, "Dancing")
    >>> seen
    [(0.75, 'Dancing')]
    """
    if progress is None:
        return silent

    def report(fraction: float, text: str) -> None:
        progress(first + (last - first) * min(max(fraction, 0.0), 1.0), text)

    return report
