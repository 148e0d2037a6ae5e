"""Objects beside the weights of a torch file: an allow-list of inert types for torch's loader.

torch's weights-only loader resolves names by a table and imports nothing. The table here adds
types that hold values only. Types that could be misused are resolved to replacements, which check
what they are given; objects of other libraries become `Unkept`, so that no library is imported.
"""

from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import types
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch

PLAIN = (
    str, int, float, bool, complex, type(None), torch.dtype, torch.Size, torch.device,
    np.generic, np.dtype, pathlib.PurePath, datetime.date, datetime.time, datetime.timedelta,
    datetime.tzinfo,
)  # fmt: skip
"""Types that are kept as they are."""
LARGEST = 1024
"""Maximum size of a NumPy scalar in bytes; text can be long."""


class NotKeptError(Exception):
    """A value holds a tensor, an array or an object of another type, and is left out."""


class Unkept:
    """An object that can be read and is not kept."""

    def __new__(cls, *_: object) -> Unkept:
        """Ignore the arguments."""
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        """Ignore the arguments."""

    def __setstate__(self, state: object) -> None:
        """Ignore the state."""


class TextArray(Unkept):
    """The replacement of a NumPy array: a vector of text is kept, such as scikit-learn's classes_.

    Text may be stored as bytes, as by h5py, and in one column.

    `array` is None for all others.
    """

    array: np.ndarray[Any, Any] | None = None

    def __setstate__(self, state: object) -> None:
        """Take what `numpy.ndarray` stores: version, shape, dtype, order and content."""
        match state:
            case (_, (int() as count, *more) as shape, Dtype(dtype=dtype), _, content):
                if more in ([], [1]) and (found := _text(dtype, count, content)) is not None:
                    self.array = found.reshape(shape)


def _text(dtype: np.dtype[Any], count: int, content: object) -> np.ndarray[Any, Any] | None:
    """Return a vector of text from a NumPy array's content, or None if this is no text."""
    if isinstance(content, list) and all(isinstance(one, str) for one in content):
        return np.array(content, object)
    if not isinstance(content, bytes) or dtype.kind not in "SU":
        return None
    if len(content) != count * dtype.itemsize:
        return None
    if dtype.kind == "U":
        # NumPy does not check code points, and fails when it reads invalid ones.
        points = np.frombuffer(content, dtype).astype(dtype.newbyteorder("<")).tobytes()
        try:
            points.decode("utf-32-le")
        except UnicodeDecodeError:
            return None
    found: np.ndarray[Any, Any] = np.frombuffer(content, dtype).copy()
    return found


class Dtype:
    """The replacement of `numpy.dtype`."""

    def __init__(self, name: str, *_: object) -> None:
        """Args: name, NumPy's, such as "f8"."""
        self.dtype = np.dtype(str(name))
        if self.dtype.kind not in "biufcUSO" or self.dtype.itemsize > LARGEST:
            raise ValueError(f"dtype {name!r} is not that of numbers, text or objects")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Take the byte order; the rest describes structured types."""
        if state[1] == ">":
            self.dtype = self.dtype.newbyteorder(">")


def _scalar(dtype: Dtype, content: bytes) -> Any:
    if len(content) != dtype.dtype.itemsize or dtype.dtype.hasobject:
        raise ValueError("a NumPy scalar has the wrong size")
    return np.frombuffer(content, dtype.dtype)[0]


def _path(here: type[pathlib.PurePath]) -> Callable[..., pathlib.PurePath]:
    """Return the replacement of a path's type; a path is only text until it is opened."""

    def make(*parts: str) -> pathlib.PurePath:
        return here(*map(str, parts))

    return make


def _dictionary(*_: object) -> dict[Any, Any]:
    """Return the replacement of a dictionary with a default, or with access by attribute."""
    return {}


def _empty_bytes() -> bytes:
    """Return the replacement of `bytes`, which pickles name only for empty ones."""
    return b""


_POSIX = pathlib.PosixPath if os.name == "posix" else pathlib.PurePosixPath
_WINDOWS = pathlib.PureWindowsPath if os.name == "posix" else pathlib.WindowsPath
_UNKEPT = (
    "numpy.ndarray",
    "numpy.random._pickle.__generator_ctor", "numpy.random._pickle.__bit_generator_ctor",
    *(f"numpy.{kind}" for kind in ("float16", "float32", "float64", "int32", "int64", "uint8")),
    *(f"builtins.{kind}" for kind in ("dict", "list", "tuple", "str", "int", "float", "bool")),
    "typing.Any", "typing.Union",
    "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig",
    "omegaconf.base.Metadata", "omegaconf.base.ContainerMetadata", "omegaconf.base.SCMode",
    *(f"omegaconf.nodes.{kind}Node"
      for kind in ("Any", "String", "Integer", "Float", "Boolean", "Bytes", "Path", "Enum")),
    "mmengine.logging.history_buffer.HistoryBuffer",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "lightning.pytorch.callbacks.model_checkpoint.ModelCheckpoint",
)  # fmt: skip
ALLOWED: list[Any] = [
    argparse.Namespace, types.SimpleNamespace,
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone,
    frozenset, (_dictionary, "collections.defaultdict"),
    (_dictionary, "lightning.fabric.utilities.data.AttributeDict"),
    (_dictionary, "lightning_fabric.utilities.data.AttributeDict"),
    (_dictionary, "pytorch_lightning.utilities.parsing.AttributeDict"),
    (Dtype, "numpy.dtype"), (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    *((_path(kind), f"{module}.{name}") for module in ("pathlib", "pathlib._local")
      for name, kind in (
          ("PosixPath", _POSIX), ("WindowsPath", _WINDOWS),
          ("PurePosixPath", pathlib.PurePosixPath), ("PureWindowsPath", pathlib.PureWindowsPath),
      )),
    (_empty_bytes, "builtins.bytes"),
    (TextArray, "numpy.core.multiarray._reconstruct"),
    (TextArray, "numpy._core.multiarray._reconstruct"),
    *((Unkept, name) for name in _UNKEPT),
]  # fmt: skip
"""What torch's loader may use beside its own types, for `torch.serialization.safe_globals`."""


def kept(values: Mapping[Any, Any]) -> tuple[dict[Any, Any], list[str]]:
    """Return a copy of the entries that hold inert values only, and the keys of the others."""
    found: dict[Any, Any] = {}
    left_out: list[str] = []
    seen: dict[int, Any] = {}
    for key, value in values.items():
        with suppress(NotKeptError, RecursionError):
            found[_copy(key, seen)] = _copy(value, seen)
            continue
        left_out.append(str(key))
    return found, left_out


def _copy(value: Any, seen: dict[int, Any]) -> Any:
    """Return a copy; an object that occurs several times, or within itself, is copied once."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Dtype):
        return value.dtype
    if isinstance(value, TextArray) and value.array is not None:
        return value.array
    if id(value) not in seen:
        seen[id(value)] = NotKeptError  # while its parts are copied, and if one of them is not kept
        seen[id(value)] = _container(value, seen)
    if seen[id(value)] is NotKeptError:
        raise NotKeptError
    return seen[id(value)]


def _container(value: Any, seen: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in (dict, OrderedDict, Counter):
        return kind({_copy(k, seen): _copy(v, seen) for k, v in value.items()})
    if kind in (list, tuple, set, frozenset):
        return kind(_copy(one, seen) for one in value)
    if kind in (argparse.Namespace, types.SimpleNamespace):
        entries = vars(value)
        if not all(isinstance(name, str) and not name.startswith("__") for name in entries):
            raise NotKeptError
        return kind(**{name: _copy(one, seen) for name, one in entries.items()})
    raise NotKeptError
