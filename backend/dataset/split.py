"""Which dances are for training, and which are kept back: whole songs, so that nothing is measured that was learned."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from ..dance.sources.manifest import SPLITS

# Where, between 0 and 1, each split lies: 80, 10 and 10 %.
_SHARES = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}
_FEW = 3  # with fewer songs, nothing is kept back

Member = TypeVar("Member", bound=Hashable)


def groups(members: Iterable[Member], pairs: Iterable[tuple[Member, Member]]) -> dict[Member, Member]:
    """For each member the first one, in their order, that it belongs with, over any number of ``pairs``."""
    head = {member: member for member in members}
    order = {member: place for place, member in enumerate(head)}

    def find(member: Member) -> Member:
        while head[member] != member:
            head[member] = head[head[member]]
            member = head[member]
        return member

    for one, other in pairs:
        first, second = sorted((find(one), find(other)), key=order.__getitem__)
        head[second] = first
    return {member: find(member) for member in head}


def split_songs(songs: Iterable[str]) -> dict[str, str]:
    """train, val or test for each song, by hashes of their names: 80, 10 and 10 % of many.

    A song's split stays when others come, but for one case: where a split would have none, it takes the song whose
    hash lies nearest. Fewer than three songs are all for training.
    """
    places = {song: int.from_bytes(hashlib.sha256(song.encode()).digest()[:8], "big") / 2**64 for song in set(songs)}
    if len(places) < _FEW:
        return dict.fromkeys(places, "train")
    splits = {song: next(s for s in SPLITS if place < _SHARES[s][1]) for song, place in places.items()}
    for split in SPLITS:
        if split not in splits.values():
            splits[_nearest(split, splits, places)] = split
    return splits


def _nearest(wanted: str, splits: Mapping[str, str], places: Mapping[str, float]) -> str:
    """The song nearest to the middle of a split, of those splits that have others."""
    middle = sum(_SHARES[wanted]) / 2
    counts = {split: list(splits.values()).count(split) for split in SPLITS}
    spare = [song for song, split in splits.items() if counts[split] > 1]
    return min(spare, key=lambda song: (abs(places[song] - middle), song))
