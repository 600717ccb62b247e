"""``report.html``: what is in a data set, in one file that needs no other: tables and stick figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...retarget.rotations import Array
from ...retarget.skeleton import SMPL_PARENTS
from ..dance.representation import headings
from ..dance.sources import SPLITS
from . import quality, store

if TYPE_CHECKING:
    from .build import Clip, Dataset

_MOST_PICTURES = 60  # clips drawn, of those kept and of those dropped
_MOST_ROWS = 4000  # of a table; all are in clips.csv
_POSES = 12  # of a clip
_RIGHT = frozenset((2, 5, 8, 11, 14, 17, 19, 21, 23))  # joints drawn in another colour
_WIDE, _HIGH, _SCALE = 84, 104, 46.0  # pixels of a figure, and of a metre
_SHOWN = ("confidence", "sliding", "joint_range", "jitter", "still", "bridged", "alignment")
_HEADS = ("sure", "sliding cm/s", "beyond range", "jerk m/s³", "still", "bridged", "on the beat")
_PERCENT = frozenset(("confidence", "joint_range", "still", "bridged", "alignment"))
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #1c2330; }
h1, h2 { font-weight: 600; } h2 { margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #dfe3ea; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td { overflow-wrap: anywhere; }
figure { margin: .8rem 0; overflow-x: auto; } figcaption { font-size: 13px; color: #4c566a; }
svg path { fill: none; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.l { stroke: #2f6db5; } .r { stroke: #c8443a; } .floor { stroke: #c9cfda; stroke-width: 1; }
.big { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1rem 0; } .big b { display: block; font-size: 1.7rem; }
"""


def html_report(data: Dataset) -> str:
    """The report as text: nothing in it comes from elsewhere, and every name is escaped."""
    kept, dropped = data.kept, data.dropped
    body = [
        "<h1>Dances out of videos</h1>",
        _numbers(data),
        "<h2>Genres and splits</h2>",
        _splits(kept),
        "<h2>Kept</h2>",
        *_pictures(kept),
        _clips(kept),
        "<h2>Dropped, and why</h2>",
        *(_pictures(dropped) if dropped else ["<p>None.</p>"]),
        _clips(dropped) if dropped else "",
        "<h2>Videos that gave nothing</h2>",
        _table(("video", "why"), sorted(data.bad)) if data.bad else "<p>None.</p>",
        "<h2>Pieces of videos that are no clips</h2>",
        _left_out(data),
        "<h2>What the captures say</h2>",
        _problems(data),
        "<h2>What is asked of a clip</h2>",
        _limits(),
        _others(data),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Dances out of videos</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _numbers(data: Dataset) -> str:
    kept = data.kept
    minutes = sum(clip.seconds for clip in kept) / 60.0
    figures = [
        (f"{len(kept)}", "clips kept"),
        (f"{minutes:.1f}", "minutes of dance"),
        (f"{len({clip.song for clip in kept})}", "songs"),
        (f"{len(data.dropped)}", "clips dropped"),
        (f"{len(data.bad)} of {data.videos}", "videos that gave nothing"),
    ]
    return '<div class="big">' + "".join(f"<div><b>{a}</b>{b}</div>" for a, b in figures) + "</div>"


def _splits(clips: Sequence[Clip]) -> str:
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    songs: dict[str, set[str]] = {split: set() for split in SPLITS}
    for clip in clips:
        seconds[clip.video.genre, clip.split] += clip.seconds
        songs[clip.split].add(clip.song)
    rows = [
        (genre, *(f"{seconds[genre, split] / 60.0:.1f}" for split in SPLITS))
        for genre in sorted({clip.video.genre for clip in clips})
    ]
    rows.append(("songs", *(str(len(songs[split])) for split in SPLITS)))
    return _table(("genre", *(f"{split}, minutes" for split in SPLITS)), rows, numbers=1)


def _clips(clips: Sequence[Clip]) -> str:
    heads: tuple[str, ...] = ("clip", "video", "at", "s", "split", "song", "quality", *_HEADS, "why dropped")
    rows: list[tuple[str, ...]] = [
        (
            clip.name,
            clip.video.name,
            _clock(clip.start),
            f"{clip.seconds:.1f}",
            clip.split,
            clip.song,
            f"{clip.quality:.2f}",
            *(_figure_of(clip, name) for name in _SHOWN),
            "; ".join(clip.dropped),
        )
        for clip in clips
    ]
    if not any(clip.dropped for clip in clips):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return _table(heads, rows)


def _figure_of(clip: Clip, name: str) -> str:
    value = getattr(clip.scores, name)
    if value is None:
        return "–"
    return f"{100 * value:.0f} %" if name in _PERCENT else f"{value:.0f}"


def _left_out(data: Dataset) -> str:
    rows = [(one.video.name, f"{_clock(one.start)} to {_clock(one.end)}", one.reason) for one in data.left_out]
    return _table(("video", "when", "why"), rows) if rows else "<p>None.</p>"


def _problems(data: Dataset) -> str:
    rows = [
        (name, f"{_clock(start)} to {_clock(end)}", sentence)
        for name, problems in data.problems.items()
        for _, start, end, sentence in problems
    ]
    return _table(("video", "when", "what"), rows) if rows else "<p>Nothing.</p>"


def _limits() -> str:
    rows = [(name, limit.sentence.format(value="…", limit=limit.shown)) for name, limit in quality.LIMITS.items()]
    return "<p>A clip is dropped where</p>" + _table(("figure", "it says"), rows)


def _others(data: Dataset) -> str:
    if not data.others:
        return ""
    some = ", ".join(escape(name) for name in data.others[:20]) + (", …" if len(data.others) > 20 else "")
    return f"<h2>Files of other kinds</h2><p>{len(data.others)}, left alone: {some}</p>"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int | None = None) -> str:
    """A table, its cells escaped; columns from ``numbers`` on are figures."""
    rows = list(rows)

    def line(cells: Sequence[str], kind: str) -> str:
        marks = ['class="n"' if numbers is not None and place >= numbers else "" for place in range(len(cells))]
        return "".join(f"<{kind} {m}>{escape(c)}</{kind}>" for c, m in zip(cells, marks, strict=True))

    more = f"<p>{len(rows) - _MOST_ROWS} more are in clips.csv.</p>" if len(rows) > _MOST_ROWS else ""
    body = "".join(f"<tr>{line(row, 'td')}</tr>\n" for row in rows[:_MOST_ROWS])
    return f"<table><thead><tr>{line(heads, 'th')}</tr></thead><tbody>\n{body}</tbody></table>{more}"


def _pictures(clips: Sequence[Clip]) -> list[str]:
    """Stick figures of clips spread evenly over all."""
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, min(len(clips), _MOST_PICTURES)).astype(int))]
    note = f"<p>{len(chosen)} of {len(clips)} are drawn.</p>" if len(chosen) < len(clips) else ""
    return [note, *(_picture(clip) for clip in chosen)]


def _picture(clip: Clip) -> str:
    motion = store.read_motion(Path(f"{clip.place}.motion"))
    frames = np.linspace(0, len(motion) - 1, _POSES).round().astype(int)
    # Every pose from the side that the dancer faces on average, its hips in the middle.
    yaw = float(np.median(headings(motion)))
    figures = "".join(
        f'<g transform="translate({place * _WIDE} 0)">{_figure(pose)}</g>'
        for place, pose in enumerate(motion.shift(-motion.root[0]).turn(-yaw).positions()[frames])
    )
    why = f" Dropped: {'; '.join(clip.dropped)}." if clip.dropped else ""
    split = f", for {clip.split}" if clip.split else ""
    words = f"{clip.name}: {clip.video.name} from {_clock(clip.start)}, {clip.seconds:.1f} s{split}.{why}"
    size = f'width="{_POSES * _WIDE}" height="{_HIGH}"'
    return f'<figure><svg {size} role="img">{figures}</svg><figcaption>{escape(words)}</figcaption></figure>'


def _figure(joints: Array) -> str:
    """A pose, joints (24, 3), as paths: the right side in one colour, the left and the middle in the other."""
    x = _WIDE / 2 + _SCALE * (joints[:, 0] - joints[0, 0])
    y = _HIGH - 8 - _SCALE * (joints[:, 2] - joints[:, 2].min())
    bones: dict[str, list[str]] = {"l": [], "r": []}
    for joint, parent in enumerate(SMPL_PARENTS):
        if parent >= 0:
            line = f"M{x[parent]:.0f} {y[parent]:.0f}L{x[joint]:.0f} {y[joint]:.0f}"
            bones["r" if joint in _RIGHT else "l"].append(line)
    floor = f'<path class="floor" d="M6 {_HIGH - 6}H{_WIDE - 6}"/>'
    return floor + "".join(f'<path class="{side}" d="{"".join(lines)}"/>' for side, lines in bones.items())
