"""A user's SMPL body as meshes of a dance: posed by smplx, written by trimesh.

Both are optional. smplx's licence allows no commercial use; all else here poses bodies by
``retarget.body_model``, which gives the same vertices.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..retarget.body_model import BodyModel, dance, load_body
from ..retarget.motion import Motion
from ..retarget.rotations import Array, to_matrix
from ..retarget.solve import FeetMode
from .export import ExportError
from .progress import Progress, silent

ENDINGS = (".glb", ".obj", ".ply")
# Formats whose readers expect y up; the others keep our z up.
_Y_UP = (".glb", ".obj")

# Frames that smplx poses at once; with more its arrays outgrow the processor's cache.
_BATCH = 16


def check(out: Path, frames: int, frame: int | None = None) -> None:
    """Say before the work what would fail after it: the packages, the name, the folder, the frame.

    Raises ExportError.
    """
    if any(importlib.util.find_spec(name) is None for name in ("smplx", "trimesh")):
        raise ExportError(
            "Meshes of a SMPL body need the packages smplx (not for commercial use) and trimesh: in a copy of"
            " Stepsmith's source run “pip install -c constraints.txt '.[body]'”."
        )
    if out.suffix.lower() not in ENDINGS:
        raise ExportError(f"{out} can't be written: end its name in one of {', '.join(ENDINGS)}.")
    if not out.parent.is_dir():
        raise ExportError(f"The folder {out.parent} doesn't exist: make it first.")
    if out.is_dir():
        raise ExportError(f"{out} is a folder: choose another name for the output.")
    if frame is not None:
        if not 1 <= frame <= frames:
            raise ExportError(f"The motion has no frame {frame}: choose one from 1 to {frames}.")
        return
    left = sorted(name for name, number in _numbered(out) if number > frames)
    if left:
        raise ExportError(f"{left[0]} is left there from a longer dance: remove it, or choose another name.")


def write_meshes(
    motion: Motion,
    model: Path,
    out: Path,
    *,
    betas: Sequence[float] = (),
    frame: int | None = None,
    feet: FeetMode = "auto",
    progress: Progress = silent,
) -> list[Path]:
    """Write the body of the file ``model`` dancing ``motion``; returns the files.

    ``out``: its ending tells the format: ``.glb`` and ``.obj`` have y up, ``.ply`` z up, all in metres.
    ``frame``: from 1; that one alone goes into ``out``. Without it every frame goes into a file of its own
    beside it, ``NAME_0001.obj`` and so on. All files appear at the end, or none. Raises RigError for the
    model and its betas, ExportError for the files; lets what ``progress`` raises through.
    """
    check(out, len(motion), frame)
    progress(0.0, "Reading the body")
    body = load_body(model)
    rotations, root = dance(body, motion, betas, feet=feet)
    names = [_frame_name(out, number) for number in range(1, len(motion) + 1)]
    if frame is not None:
        rotations, root, names = rotations[frame - 1 : frame], root[frame - 1 : frame], [out.name]
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".stepsmith-", dir=out.parent, ignore_cleanup_errors=True) as folder,
            # In a thread of its own, since trimesh catches every exception, that of Ctrl-C too.
            ThreadPoolExecutor(1) as encoder,
        ):
            for k, vertices in enumerate(pose(body, rotations, root, betas)):
                data = encoder.submit(_encode, vertices, body.faces, out.suffix.lower()).result()
                if k == 0:
                    _check_room(out.parent, len(data) * len(names))
                (Path(folder) / names[k]).write_bytes(data)
                progress((k + 1) / len(names), f"Writing frame {k + 1} of {len(names)}")
            return _publish(Path(folder), out.parent, names)
    except OSError as error:
        raise ExportError(f"{out.parent} can't be written to ({error.strerror}): choose another folder.") from error


def pose(body: BodyModel, rotations: Array, root: Array, betas: Sequence[float] = ()) -> Iterator[NDArray[np.float32]]:
    """The posed body frame by frame, (V, 3) metres each, by smplx.

    ``rotations``: (T, J, 4) local unit quaternions; ``root``: (T, 3) metres, where the pelvis is; both in
    the frame of a Motion, as all of ``body`` is. smplx's formulas hold in any.
    """
    import torch
    from smplx.lbs import lbs

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def tensor(array: Array) -> torch.Tensor:
        return torch.tensor(np.asarray(array), dtype=torch.float32, device=device)

    if body.pose_dirs is None:
        raise ValueError("the body was loaded without its pose blend shapes")
    shape = np.zeros(max(len(betas), 1))
    shape[: len(betas)] = betas
    template, regressor, weights = (tensor(a) for a in (body.template, body.regressor, body.weights))
    shape_dirs = tensor(np.moveaxis(body.shape_dirs[: len(shape)], 0, 2))
    pose_dirs = tensor(body.pose_dirs.reshape(len(body.pose_dirs), -1))
    parents = torch.tensor(body.parents, device=device)
    pelvis = body.joints(betas)[0]
    for first in range(0, len(root), _BATCH):
        turns = tensor(to_matrix(rotations[first : first + _BATCH]))
        with torch.inference_mode():
            vertices, _ = lbs(
                tensor(shape).expand(len(turns), -1),
                turns,
                template,
                shape_dirs,
                pose_dirs,
                regressor,
                parents,
                weights,
                pose2rot=False,
            )
        yield from vertices.cpu().numpy() + (root[first : first + _BATCH, None] - pelvis).astype(np.float32)


def _encode(vertices: NDArray[np.float32], faces: Array, ending: str) -> bytes:
    import trimesh

    if ending in _Y_UP:
        vertices = vertices[:, [0, 2, 1]] * np.array([1, 1, -1], np.float32)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    if ending == ".ply":
        data = mesh.export(file_type="ply", vertex_normal=True)
    elif ending == ".obj":
        data = mesh.export(file_type="obj", include_normals=True, header="Stepsmith")
    else:
        data = mesh.export(file_type="glb", include_normals=True)
    return data.encode("ascii") if isinstance(data, str) else bytes(data)


def _frame_name(out: Path, number: int) -> str:
    return f"{out.stem}_{number:04d}{out.suffix}"


def _numbered(out: Path) -> Iterator[tuple[str, int]]:
    """Files beside ``out`` that are named as its frames are, and their numbers."""
    named = re.compile(re.escape(out.stem) + r"_(\d{4,})" + re.escape(out.suffix))
    for path in out.parent.iterdir():
        if match := named.fullmatch(path.name):
            yield path.name, int(match[1])


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ExportError(
            f"The disk of {folder} has {free >> 20} MB left and about {needed >> 20} MB are needed: free some, or"
            " choose another folder."
        )


def _publish(staged: Path, folder: Path, names: Sequence[str]) -> list[Path]:
    """Move the finished files to where they belong; stopped half way, what is new there goes again."""
    new: list[Path] = []
    try:
        for name in names:
            place = folder / name
            if not place.exists():
                new.append(place)
            os.replace(staged / name, place)
    except BaseException:
        for place in new:
            place.unlink(missing_ok=True)
        raise
    return [folder / name for name in names]
