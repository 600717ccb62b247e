"""A video in, what was seen of one person out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from ...retarget.errors import StepsmithError
from ..ahead import ahead
from ..progress import Progress, silent
from .camera_motion import CameraMotion, stands
from .damage import Damage
from .detections import Detections, Views
from .facing import Facing
from .landmarks import MEDIAPIPE
from .leaps import doubt_leaps
from .light import brightened
from .mediapipe_graphs import Figure, Image, Landmarks, People, Pose, Square
from .people import (
    AS_LARGE,
    Finder,
    Spotter,
    Track,
    Tracker,
    believed,
    choose,
    clothes,
    confirmed,
    count,
    differs,
    distance,
    figure_of,
    presence,
    unlike,
    within_reach,
)
from .shots import jumps, mark_cuts
from .swaps import trunk_lengths, unswap
from .video import Frame, Video, VideoInfo

# Between two looks at who is in the picture: as many seconds, and frames, at least. Looking at a part of the picture
# takes half as long as finding the landmarks; less often while nobody else is there.
_LOOK = 0.25
_LOOK_FRAMES, _LOOK_FRAMES_ALONE = 8, 16
_LOOK_CLOSELY = 0.08  # s, while somebody else is near enough to be mistaken
_PATIENCE = 2.0  # s for which nobody else is followed when the person is out of sight
_MOMENT = 0.4  # s for which somebody is looked for where they were
_NEAR = 0.25  # squares between where the person is and where the person is known to have been
_TELLING = 0.1  # distance of colours from which on clothes tell two people apart
_DOUBTED = 0.3  # s before landmarks were found on somebody else, in which they may have been already
_COLLAPSED = 0.5  # share of its length in the picture before to which no trunk is shortened from frame to frame
_BETTER = 1.2  # how much more somebody else must be the subject to watch a video once more
_TELL = 0.2  # s between two words on the progress
_ANKLES = [MEDIAPIPE.index(f"{side}_ankle") for side in ("left", "right")]


class PoseFinder(Protocol):
    """Finds the landmarks of the person in a square, as ``mediapipe_graphs.Landmarks`` does."""

    def find(self, image: Image, time: float, square: Square) -> Pose | None: ...


def watch(
    video: Path,
    *,
    person: int | None = None,
    start: float = 0.0,
    duration: float | None = None,
    progress: Progress = silent,
) -> Detections:
    """What is seen of one person in a video, in every frame.

    ``start``, ``duration``: the part of it to watch, seconds (None: to the end).
    ``person``: the how manieth from the left, from 1, where there are several; None follows whoever is there for
    longest, largest and nearest to the middle, in every shot anew. ``progress`` is told the frames;
    what it raises ends the work. Raises StepsmithError where the video can't be read or MediaPipe is missing.
    """
    if person is not None and person < 1:
        raise StepsmithError(f"People are counted from the left, beginning with 1: there is no person {person}.")
    teller = _Teller(progress)
    source = partial(Video, video, start, duration)
    shots, damage = _watch(source, person, None, teller)
    wanted = [shot.subject(person) for shot in shots]
    # Who is the subject of a shot is known at its end. Mostly that was who was followed.
    if any(shot.followed_wrongly(track, person) for shot, track in zip(shots, wanted, strict=True)):
        again, _ = _watch(source, person, wanted, teller)
        shots = [old if track is None else new for old, new, track in zip(shots, again, wanted, strict=True)]
    if person is not None:
        for shot, track in zip(shots, wanted, strict=True):
            shot.poses = shot.poses if track is not None else [None] * len(shot.poses)
    return doubt_leaps(_with_jumps(unswap(_detections(shots, teller.info, damage))))


def _watch(
    opened: Callable[[], Video], person: int | None, wanted: Sequence[Track | None] | None, teller: _Teller
) -> tuple[list[Shot], list[Damage]]:
    """What is seen in every shot of the video that ``opened`` opens, and where the file is damaged."""
    with (
        closing(People()) as people,
        closing(Landmarks()) as landmarks,
        closing(opened()) as source,
        closing(ahead(brightened(mark_cuts(source.frames())))) as frames,
        ThreadPoolExecutor(1) as beside,
    ):
        teller.begin(source.info)
        shots: list[Shot] = []
        for frame, cut in frames:
            teller.tell(frame.time)
            if cut or not shots:
                guide = wanted[len(shots)] if wanted is not None else None
                height, width = frame.image.shape[:2]
                shots.append(Shot((width, height), people, landmarks, beside, person, guide, wanted is not None))
            shots[-1].see(frame)
        return shots, source.damage()


@dataclass(eq=False)
class Shot:
    """The frames between two cuts, in which one person is followed.

    ``size``: (width, height) of the pictures in pixels. ``beside``: where others are looked for while the landmarks
    are found. ``guide``: the person to follow, known from having watched the shot before (``guided``), when None
    means nobody.
    """

    size: tuple[int, int]
    people: Finder
    landmarks: PoseFinder
    beside: Executor
    person: int | None = None
    guide: Track | None = None
    guided: bool = False
    times: list[float] = field(default_factory=list)
    dark: list[bool] = field(default_factory=list)  # which of the pictures were very dark
    poses: list[Pose | None] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)  # frames from which on somebody else is followed

    def __post_init__(self) -> None:
        self._spotter = Spotter(self.people, *self.size)
        self._tracker = Tracker()
        self._camera = CameraMotion()
        self._facing = Facing()
        self._track: Track | None = None  # whom we follow
        self._shown: Pose | None = None  # as they were seen last
        self._followed: list[Track] = []
        self._square: Square | None = None  # where they should be in the next frame
        self._last: tuple[float, Square | None] = (-np.inf, None)  # when and where they were seen last
        self._looked = self._known = -np.inf  # when somebody looked last, and found them in their own clothes
        self._looked_frame = 0

    def see(self, frame: Frame) -> None:
        """Find the person in the next frame."""
        if self.guided and self.guide is None:
            return
        before = self._track
        pose, others = self._expected(frame, self._square) if self._square else (None, None)
        if not self.times:
            self._look(frame, None, self._spotter.everybody(frame.image, self.person is not None))
        elif pose is None or self._collapsed(pose):
            pose = self._look(frame, None, self._spotter.search(frame.image))
        elif others is not None:
            pose = self._glance(frame, pose, others)
        if pose is None and self._square is not None:
            # As if it were a bit later: what MediaPipe smooths over time stays as it was in one and the same moment.
            later = (frame.time - self.times[-1]) / 3.0 if self.times else 0.0
            pose = self.landmarks.find(frame.image, frame.time + later, self._square)
        if pose is None and before is not None:
            self._track = before  # the detector may see bodies where none are: without landmarks, nobody else is there
        elif self._track is not None and self._track not in self._followed[-1:]:
            self._follow(self._track)
        if pose is not None:
            self._last = frame.time, pose.square
        # Whoever is lost for a moment is mostly where they were.
        waiting = frame.time - self._last[0] < _MOMENT and not self._crowded(frame.time)
        self._square = self._last[1] if pose is not None or waiting else None
        self._shown = pose or self._shown
        self._camera.see(frame.image, None if self._shown is None else self._shown.points)
        self.times.append(frame.time)
        self.dark.append(frame.dark)
        self.poses.append(pose)

    def _expected(self, frame: Frame, square: Square) -> tuple[Pose | None, list[Figure] | None]:
        """The person, where they should be, and who was seen meanwhile, None where it was not time to look."""

        def find(square: Square) -> Pose | None:
            return self.landmarks.find(frame.image, frame.time, square)

        looking = self.beside.submit(self._spot, frame, square) if self._due(frame.time) else None
        pose = find(square)
        if pose is not None:
            pose = self._facing.steady(pose, frame.time, square, find)
        return pose, None if looking is None else looking.result()

    def _collapsed(self, pose: Pose) -> bool:
        """Whether the trunk is of a sudden half as long as before: then nobody is where the person should be."""
        before = self.poses[-1]
        if before is None:
            return False
        was, now = trunk_lengths(np.stack([before.points, pose.points]))
        return bool(now < _COLLAPSED * was)

    def subject(self, person: int | None) -> Track | None:
        """Whom to follow, now that the whole shot is known."""
        return choose(believed(self._tracker.tracks), self.size, person)

    def followed_wrongly(self, wanted: Track | None, person: int | None) -> bool:
        """Whether another than the one wanted was followed."""
        if wanted is None:
            return False
        there = [t for t, pose in zip(self.times, self.poses, strict=True) if pose is not None]
        if person is None:
            followed = [track for track in self._followed if track is not wanted]
            rival = max((presence(track, self.size) for track in followed), default=0.0)
            if wanted in self._followed or presence(wanted, self.size) < _BETTER * rival:
                return False
            return bool(there)
        return any(track is not wanted for track in self._followed) or wanted not in self._followed

    def counts(self) -> list[int]:
        """How many people were there in each frame."""
        counted = count(self._tracker.tracks, np.array(self.times))
        seen = np.array([pose is not None for pose in self.poses])
        return [int(number) for number in np.maximum(counted, seen)]

    def onlookers(self) -> list[bool]:
        """In which frames there were others, all of the shot much smaller than whom we followed."""
        own = max((track.mostly for track in self._followed), default=0.0)
        dancing = count(self._tracker.tracks, np.array(self.times), AS_LARGE * own).max(initial=0)
        return [number > 1 >= dancing for number in self.counts()]

    def views(self) -> Views:
        """(F, 2) from where each frame is seen, against the first; all alike where the camera stands still."""
        views = self._camera.views()
        feet = np.array([np.full((2, 2), np.nan) if pose is None else pose.points[_ANKLES] for pose in self.poses])
        seconds = float(np.median(np.diff(self.times))) if len(self.times) > 1 else 1.0
        return views if stands(views, feet, seconds) else np.tile(views[:1], (len(views), 1))

    def _due(self, now: float) -> bool:
        if self._crowded(now):
            return now - self._looked >= _LOOK_CLOSELY
        others = any(now - track.times[-1] < _PATIENCE for track in self._tracker.tracks if track is not self._track)
        wait = _LOOK_FRAMES if others else _LOOK_FRAMES_ALONE
        return now - self._looked >= _LOOK and len(self.times) - self._looked_frame >= wait

    def _crowded(self, now: float) -> bool:
        return self._track is not None and bool(self._tracker.rivals(self._track, now))

    def _spot(self, frame: Frame, square: Square) -> list[Figure]:
        """Who is there: around the ``square`` of the person, where others are near, or where somebody was seen who
        may be nobody, or else in a part of the picture."""
        if self._crowded(frame.time):
            return self._spotter.glance(frame.image, square)
        doubtful = self._doubtful(frame.time)
        if doubtful is None and self.person is not None:
            return self._spotter.search(frame.image)  # who was asked for may be small
        return self._spotter.glance(frame.image, None if doubtful is None else doubtful.expected(frame.time))

    def _doubtful(self, now: float) -> Track | None:
        """Somebody beside the person who may be nobody."""
        return self._tracker.doubtful(self._track, now, _PATIENCE)

    def _glance(self, frame: Frame, pose: Pose, others: Sequence[Figure]) -> Pose | None:
        """The pose where it is of whom we follow, beside ``others`` whom ``_spot`` found."""
        if self._crowded(frame.time):
            return self._look(frame, pose, others)
        if self._track is not None and self._changed(frame, pose):
            was = self._track.nearest(self._known)
            return self._look(frame, pose, self._spotter.glance(frame.image, was))
        doubtful = self._doubtful(frame.time)
        own = self._look(frame, pose, others)
        if doubtful is not None and doubtful.times[-1] < frame.time:
            self._tracker.miss(doubtful)
        return own

    def _look(self, frame: Frame, pose: Pose | None, figures: Sequence[Figure]) -> Pose | None:
        """Know who is there, now that somebody looked; the ``pose`` where it is of whom we follow. Sets the square in
        which they are."""
        self._looked, self._looked_frame = frame.time, len(self.times)
        if pose is not None and self._track is not None and self._is_beside(self._track, frame, pose, figures):
            self._track.forget(self._known)
            self._doubt(max(self._known, frame.time - _PATIENCE))
            pose = None
        elif pose is not None and self._is_other(frame, pose):
            self._doubt(frame.time - _DOUBTED)
            pose = None
        if pose is not None:
            own = figure_of(pose)
            figures = [own, *(one for one in figures if distance(one.square, own.square) > _NEAR)]
        there = self._tracker.update(frame.time, frame.image, figures, None if pose is None else self._track)
        self._track = self._whom(frame.time, there)
        if self._track in there.values() and (pose is None or not self._changed(frame, pose)):
            self._known = frame.time
        where = next((figure for figure, track in there.items() if track is self._track), None)
        if pose is not None and where is figures[0]:
            return pose
        self._square = where.square if where is not None else None
        return None

    def _follow(self, track: Track) -> None:
        """Follow somebody from now on; whoever was followed until now, but was hardly there, was nobody."""
        if self._followed and not confirmed(self._followed[-1:]):
            begun = self._followed.pop().times[0]
            self.poses = [pose if t < begun else None for t, pose in zip(self.times, self.poses, strict=True)]
            self._shown = next((pose for pose in reversed(self.poses) if pose is not None), None)
        elif self._followed:
            self.breaks.append(len(self.times))
        self._followed.append(track)

    def _whom(self, now: float, there: Mapping[Figure, Track]) -> Track | None:
        """Whom to follow from now on, of those who are there."""
        if self.guided:
            place = self.guide.at(now) if self.guide is not None else None
            near = {} if place is None else {track: distance(one.square, place) for one, track in there.items()}
            best = min(near, key=near.__getitem__, default=None)
            return best if best is not None and near[best] < _NEAR else self._track
        track = self._track
        if track is not None and track not in there.values():
            jumped = [one for one in confirmed(there.values()) if one.times[0] > track.times[-1]]
            if len(there) == len(jumped) == 1 and unlike(track.clothes, jumped[0].clothes) < _TELLING:
                return jumped[0]  # of a sudden they are elsewhere, since a piece of the take was cut out
        if track is not None and (track in there.values() or now - track.times[-1] < _patience(track)):
            return track
        if track is not None and confirmed([track]):  # another one, who must be there indeed
            return choose(confirmed(there.values()), self.size) or track
        # Who is the how manieth is known at the end of the shot; meanwhile somebody has to be followed.
        known = choose([*there.values()], self.size, self.person) if not self.times else None
        return known or choose([*there.values()], self.size)

    def _is_other(self, frame: Frame, pose: Pose) -> bool:
        """Whether landmarks are on somebody else who is near, by the colours of the clothes, or may be."""
        if self._track is None:
            return False
        if self._tracker.covered(self._track, frame.time):
            return True
        seen = clothes(frame.image, figure_of(pose))
        own = unlike(self._track.clothes, seen)
        rivals = self._tracker.rivals(self._track, frame.time)
        return any(unlike(other.clothes, seen) < 0.5 * own - _TELLING for other in rivals)

    def _changed(self, frame: Frame, pose: Pose) -> bool:
        """Whether landmarks are on somebody in other clothes than the person's: another one, or in other light."""
        return self._track is not None and differs(self._track, clothes(frame.image, figure_of(pose)))

    def _is_beside(self, track: Track, frame: Frame, pose: Pose, figures: Sequence[Figure]) -> bool:
        """Whether a track's person is one of the ``figures`` beside whoever passed by, and has the landmarks now."""
        was, passed = track.nearest(self._known), frame.time - self._known
        own = unlike(track.clothes, clothes(frame.image, figure_of(pose)))
        return any(
            within_reach(was, passed, one.square)
            and unlike(track.clothes, clothes(frame.image, one)) < 0.5 * own - _TELLING
            for one in figures
            if distance(one.square, pose.square) > _NEAR
        )

    def _doubt(self, since: float) -> None:
        """Forget what was found later than that."""
        for i in range(len(self.times) - 1, -1, -1):
            if self.times[i] <= since:
                return
            self.poses[i] = None


def _patience(track: Track) -> float:
    """Seconds for which somebody is waited for: no longer than they were there."""
    return min(track.times[-1] - track.times[0], _PATIENCE)


def _detections(shots: Sequence[Shot], info: VideoInfo, damage: Sequence[Damage]) -> Detections:
    times = [one for shot in shots for one in shot.times]
    poses = [pose for shot in shots for pose in shot.poses]
    counts = [number for shot in shots for number in shot.counts()]
    first = np.cumsum([0, *(len(shot.times) for shot in shots)])
    cuts = sorted(
        {*first[1:-1].tolist(), *(f + b for f, shot in zip(first.tolist(), shots, strict=False) for b in shot.breaks)}
    )
    marks, scale = len(MEDIAPIPE), info.size[0] / shots[0].size[0]
    points, confidence = np.zeros((len(times), marks, 2)), np.zeros((len(times), marks))
    views = np.concatenate([shot.views() for shot in shots])
    views[:, 1] *= scale
    world = np.zeros((len(times), marks, 3))
    for i, pose in enumerate(poses):
        if pose is not None:
            points[i], confidence[i], world[i] = pose.points * scale, pose.visibility, pose.world
    return Detections(
        np.array(times),
        info.size,
        points,
        confidence,
        world,
        np.array(counts),
        np.array(cuts, dtype=int),
        damage,
        np.flatnonzero([one for shot in shots for one in shot.dark]).tolist(),
        np.flatnonzero([one for shot in shots for one in shot.onlookers()]).tolist(),
        views,
    )


def _with_jumps(detections: Detections) -> Detections:
    """The same detections, split also where the body jumps."""
    seen = detections.confidence.max(axis=1) > 0.0
    trunk = float(np.median(trunk_lengths(detections.points[seen]))) if seen.any() else 0.0
    # From the shoulders to the ankles, without hands and face.
    found = jumps(detections.times, detections.points[:, [*range(11, 17), *range(23, 29)]], seen, trunk)
    return replace(detections, cuts=np.union1d(detections.cuts, found).astype(int))


class _Teller:
    """Tells the progress in frames, every so often; whoever shows it knows the time left."""

    def __init__(self, progress: Progress) -> None:
        self.info = VideoInfo((0, 0), 0.0, None, None)
        self._progress, self._words = progress, ""
        self._done = self._share = 0.0

    def begin(self, info: VideoInfo) -> None:
        """The video is watched from its beginning, the second time because somebody else is the subject."""
        # Half of the work is done then, which nobody could know before.
        self._done = self._share = 0.5 if self._words else 0.0
        self._words = "Watching again, for another person" if self._words else "Watching the dancer"
        self.info, self._frames, self._told = info, 0, time.monotonic() - _TELL

    def tell(self, second: float) -> None:
        """A frame comes."""
        self._frames += 1
        now = time.monotonic()
        if now - self._told < _TELL:
            return
        self._told = now
        text, end = f"{self._words}, frame {self._frames}", self.info.end
        if end is not None and (length := end - self.info.start) > 0.0:
            share = min(max((second - self.info.start) / length, 0.0), 1.0)
            text += f" of {max(round(length * self.info.fps), self._frames)}"
            self._share = max(self._share, self._done + (1.0 - self._done) * share)
        self._progress(self._share, text)
