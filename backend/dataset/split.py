"""Which dances are for training, and which are kept back: whole songs, so that nothing is measured that was learned."""

from __future__ import annotations

import hashlib
from collections import Counter
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


def earlier_splits(group_of: Mapping[Member, Member], before: Mapping[Member, str]) -> dict[Member, str]:
    """The splits of the groups any of whose members had one ``before``.

    Where two groups have turned out to be one and had different splits, all of it goes to the one nearest to training
    (train, then val, then test): what a model may have learnt, or was chosen by, is not what it is measured on later.
    """
    found: dict[Member, str] = {}
    for member, split in before.items():
        if member in group_of:
            group = group_of[member]
            found[group] = min(split, found.get(group, split), key=SPLITS.index)
    return found


def split_songs(seconds: Mapping[str, float], before: Mapping[str, str] | None = None) -> dict[str, str]:
    """train, val or test for each song, by hashes of their names: 80, 10 and 10 % of many.

    ``seconds``: of dance to each song; one that has more than half of all is for training. Songs that had a split
    ``before`` stay in it. Another's stays when others come, but for one case: where a split would have none, it takes,
    of the other songs that had none before, the one whose hash lies nearest. Of fewer than three songs, those are all
    for training.
    """
    places = {song: int.from_bytes(hashlib.sha256(song.encode()).digest()[:8], "big") / 2**64 for song in seconds}
    half = sum(seconds.values()) / 2
    fixed = {song: "train" for song, amount in seconds.items() if amount > half}
    fixed |= {song: split for song, split in (before or {}).items() if song in places}
    if len(places) < _FEW:
        return {**dict.fromkeys(places, "train"), **fixed}
    splits = {song: next(s for s in SPLITS if place < _SHARES[s][1]) for song, place in places.items()} | fixed
    for split in SPLITS:
        if split not in splits.values():
            counts = Counter(splits.values())
            spare = [song for song, other in splits.items() if counts[other] > 1 and song not in fixed]
            if spare:
                splits[_nearest(split, spare, places)] = split
    return splits


def _nearest(wanted: str, songs: Iterable[str], places: Mapping[str, float]) -> str:
    """The song nearest to the middle of a split."""
    middle = sum(_SHARES[wanted]) / 2
    return min(songs, key=lambda song: (abs(places[song] - middle), song))
