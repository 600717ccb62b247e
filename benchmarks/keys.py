"""How long Blender takes for a dance of a minute: its keys, and the built-in character.

python benchmarks/keys.py [--frames 1800] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from stepsmith.addon.armature import read_rig
from stepsmith.addon.body import build_body
from stepsmith.addon.character import make_character
from stepsmith.addon.keys import write_action
from stepsmith.addon.scene import apply_motion
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.motion import Motion
from stepsmith.retarget.skeleton import SMPL
from stepsmith.retarget.solve import solve

ROUNDS = 5


def milliseconds(work: Callable[[], Any]) -> float:
    """Processor time, the median of some rounds; what else the machine does counts little."""
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        taken.append(1000.0 * (time.process_time() - started))
    return statistics.median(taken)


def swaying(frames: int) -> Motion:
    """A made motion in which every joint turns all the time."""
    swing = np.sin(np.linspace(0, frames / 10, frames))[:, None, None] * np.random.default_rng(0).normal(
        0, 0.3, (24, 3)
    )
    root = np.tile([0.0, 0.0, SMPL.rest_root_height], (frames, 1))
    beats = np.arange(0.0, frames / 30, 0.5)
    return Motion(30.0, root, rot.from_axis_angle(swing), np.zeros((frames, 4)), beats=beats, downbeats=beats[::4])


def measure(frames: int) -> dict[str, float]:
    """Milliseconds by what they are spent on."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    figures = {"the character's mesh, in numpy": milliseconds(build_body.__wrapped__)}
    build_body()
    figures["the character, in Blender"] = milliseconds(lambda: make_character(bpy.context))
    dancer = make_character(bpy.context)
    motion = swaying(frames)
    pose = solve(motion, read_rig(dancer))
    for mode in ("QUATERNION", "XYZ", "AXIS_ANGLE"):
        for bone in dancer.pose.bones:
            bone.rotation_mode = mode
        key = f"keys of {frames} frames x {len(pose.bones)} bones, {mode.lower().replace('_', ' ')}"
        figures[key] = milliseconds(lambda: write_action(dancer, pose, name="Dance", start_frame=1))
    figures["the whole dance: retargeted, keyed, marked"] = milliseconds(
        lambda: apply_motion(bpy.context, dancer, motion)
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1800)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    given = parser.parse_args()
    figures = measure(given.frames)
    print(f"Blender {bpy.app.version_string}, milliseconds of processor time, median of {ROUNDS}")
    for what, taken in figures.items():
        print(f"{taken:8.1f}  {what}")
    if given.json:
        given.json.write_text(json.dumps({"blender": bpy.app.version_string, "milliseconds": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
