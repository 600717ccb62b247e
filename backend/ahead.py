"""Making the next thing while the last one is used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

_OVER = object()


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """The same items, each made in a thread beside while the one before it is used.

    Close it where it is left early: it waits for the item being made. Raises what ``items`` raises.
    """
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, items, _OVER)
        while (item := coming.result()) is not _OVER:
            coming = maker.submit(next, items, _OVER)
            yield item  # type: ignore[misc]
