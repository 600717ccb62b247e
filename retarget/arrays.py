"""Arrays out of files by strangers: ``.npz`` and pickles, read without running anything that they hold.

A pickle is read into ``Record`` objects: what it says of an array, a sparse matrix or another object, and
nothing more. ``as_array`` makes arrays of those that hold one. No class or function that a pickle names is
ever looked up.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections.abc import Collection
from typing import Any, BinaryIO, ClassVar, Literal

import numpy as np

from .rotations import Array

# Objects that a pickle of a few arrays refers back to, at most.
_MAX_MEMO = 100_000
# Numbers in a sparse matrix when it is written out, at most.
_MAX_DENSE = 1 << 24

# What a pickle of arrays may name; of chumpy and scipy.sparse, whose objects hold arrays, anything.
_ADMITTED = {
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "_codecs": {"encode"},
    "copyreg": {"_reconstructor"},
    "builtins": {"object", "set", "bytearray"},
}
_ADMITTED_PACKAGES = ("chumpy", "scipy.sparse")
# Modules by the names that they have, or had, elsewhere.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class ArrayFileError(ValueError):
    """A file without the arrays it should hold; the text is a clause that goes on after the file's name."""


class Record:
    """What a pickle says of an object: ``args`` it was made with and its ``state``, which may be None.

    ``origin``: the full name of the class or function that would have made it.
    """

    origin: ClassVar[str] = ""
    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any, **_: Any) -> Record:
        self = super().__new__(cls)
        self.args, self.state = args, None
        return self

    def __setstate__(self, state: Any) -> None:
        self.state = state


def read_npz(file: BinaryIO, names: Collection[str], limit: int) -> dict[str, Array]:
    """Those of the arrays ``names`` that a ``.npz`` holds; the others are not looked at.

    Raises ArrayFileError where it is damaged, an array is none of plain values, or they unpack to more
    than ``limit`` bytes.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = {name: members[name] for name in names if name in members}
            if sum(info.file_size for info in wanted.values()) > limit:
                raise ArrayFileError(f"it unpacks to more than {limit >> 20} MB")
            return {name: _read_npy(name, archive.read(info)) for name, info in wanted.items()}
    except ArrayFileError:
        raise
    except Exception as error:  # Damaged archives raise whatever their decoder does.
        raise ArrayFileError("it is damaged") from error


def _read_npy(name: str, data: bytes) -> Array:
    """One ``.npy``; its header is held against its size first, since numpy believes any header."""
    stream = io.BytesIO(data)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, dtype = read_header[np.lib.format.read_magic(stream)](stream)
        if dtype.hasobject:
            raise ArrayFileError(f"its array “{name}” is no plain array")
        if int(np.prod(shape, dtype=object)) * dtype.itemsize != len(data) - stream.tell():
            raise ArrayFileError(f"its array “{name}” is damaged")
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    except ArrayFileError:
        raise
    except Exception as error:  # A damaged header raises nearly anything.
        raise ArrayFileError(f"its array “{name}” is damaged") from error


def unpickle(data: bytes) -> Any:
    """What a pickle holds: plain values as they are, every other object as a Record.

    Text of Python 2 is read as Latin-1, so that bytes keep their values. Raises ArrayFileError where it is
    damaged, or names anything but arrays and what holds them.
    """
    try:
        _check_memo(data)
        return _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except ArrayFileError:
        raise
    except Exception as error:  # A damaged pickle raises nearly anything.
        raise ArrayFileError("it is damaged") from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[Record]:
        home = _RENAMED.get(module, module).replace("numpy._core", "numpy.core")
        package = ".".join(home.split(".")[: 2 if home.startswith("scipy") else 1])
        if package not in _ADMITTED_PACKAGES and name not in _ADMITTED.get(home, ()):
            raise ArrayFileError(f"it holds {module}.{name}, which is no array")
        # A class of its own for each, so that a pickle can spoil nothing but what it made itself.
        return type("Record", (Record,), {"origin": f"{home}.{name}"})


def _check_memo(data: bytes) -> None:
    """Refuse a pickle whose memo is numbered beyond reason: unpickling would claim memory up to that number.

    Walking through the codes also finds every length that reaches past the end of the data.
    """
    for code, argument, _ in pickletools.genops(data):
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > _MAX_MEMO:
            raise ArrayFileError("it is no plain pickle of arrays")


def as_array(value: Any) -> Array:
    """The array that a value out of ``unpickle`` stands for.

    Arrays and scalars of numpy, sparse matrices of scipy, and the chumpy objects that old files hold:
    Ch (an array), Select (some of its numbers) and Reshape. Raises ArrayFileError for anything else.
    """
    try:
        return _as_array(value)
    except ArrayFileError:
        raise
    except Exception as error:  # A hostile record may hold anything where numbers belong.
        raise ArrayFileError("one of its arrays is damaged") from error


def _as_array(value: Any) -> Array:
    if not isinstance(value, Record):
        raise ArrayFileError("a number or text stands where an array belongs")
    origin = value.origin
    if origin == "copyreg._reconstructor":  # how Python 2 names the class of an instance
        origin = value.args[0].origin
    if origin == "numpy.core.multiarray._reconstruct":
        _, shape, dtype, fortran, data = value.state
        return _from_bytes(data, dtype, shape, "F" if fortran else "C")
    if origin == "numpy.core.numeric._frombuffer":
        data, dtype, shape, order = value.args
        return _from_bytes(data, dtype, shape, order)
    if origin == "numpy.core.multiarray.scalar":
        return _from_bytes(value.args[1], value.args[0], (), "C")
    kind = origin.rpartition(".")[2]
    if origin.startswith("chumpy."):
        if kind == "Ch":
            return _as_array(value.state["x"])
        if kind == "Select":
            chosen = _as_array(value.state["a"]).ravel()[_as_array(value.state["idxs"]).ravel()]
            return chosen.reshape(_shape(value.state["preferred_shape"]) if "preferred_shape" in value.state else -1)
        if kind == "Reshape":
            return _as_array(value.state["a"]).reshape(_shape(value.state["newshape"]))
    if origin.startswith("scipy.sparse."):
        return _from_sparse(kind[:3], value.state)
    raise ArrayFileError(f"it holds a {origin} where an array belongs")


def _shape(value: Any) -> tuple[int, ...]:
    numbers = _as_array(value).ravel().tolist() if isinstance(value, Record) else value
    return tuple(int(n) for n in (numbers if isinstance(numbers, (tuple, list)) else [numbers]))


def _from_bytes(data: Any, dtype: Record, shape: Any, order: Literal["C", "F"]) -> Array:
    """A read-only array over what the pickle holds."""
    kind = np.dtype(dtype.args[0])
    if dtype.origin != "numpy.dtype" or kind.kind not in "biuf":
        raise ArrayFileError("it holds more than numbers where an array belongs")
    if dtype.state is not None:
        kind = kind.newbyteorder(dtype.state[1])
    return np.frombuffer(_bytes(data), kind).reshape(_shape(shape), order=order)


def _bytes(data: Any) -> bytes:
    if isinstance(data, Record):  # bytes written by Python 3 for Python 2, as text
        data = data.args[0]
    return data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))


def _from_sparse(kind: str, state: Any) -> Array:
    """A compressed-column, compressed-row or coordinate matrix, written out."""
    rows, columns = _shape(state["_shape"] if "_shape" in state else state["shape"])
    if rows < 0 or columns < 0 or rows * columns > _MAX_DENSE:
        raise ArrayFileError("one of its sparse matrices is too large")
    values = _as_array(state["data"])
    if kind == "coo":
        coordinates = state["coords"] if "coords" in state else (state["row"], state["col"])
        row, column = (_as_array(c).astype(np.int64) for c in coordinates)
    elif kind in ("csc", "csr"):
        inner, starts = (_as_array(state[name]).astype(np.int64) for name in ("indices", "indptr"))
        counts = np.diff(starts)
        if (counts < 0).any() or counts.sum() != len(inner):
            raise ArrayFileError("one of its sparse matrices is damaged")
        outer = np.repeat(np.arange(len(counts)), counts)
        row, column = (inner, outer) if kind == "csc" else (outer, inner)
    else:
        raise ArrayFileError(f"it holds a sparse matrix of an unknown kind ({kind})")
    dense = np.zeros((rows, columns))
    np.add.at(dense, (row, column), values[: len(row)])
    return dense
