"""Reading and writing checkpoints in any format of `falw_cli.models.formats`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from falw_cli.config.extensions import FORMATS
from falw_cli.errors import RequestError
from falw_cli.models import folder, foreign
from falw_cli.models.architectures import library_builder
from falw_cli.models.checkpoint import Checkpoint, Metadata, Tensors, sha256
from falw_cli.models.fitting import unwrap
from falw_cli.models.interfaces import FileFormat, FolderFormat
from falw_cli.models.weight_sets import Which, is_average, pick, same

UNSAID = "nothing in it says whether its weights are averaged (EMA): --weights ema has no effect"
F = TypeVar("F", FileFormat, FolderFormat)
DEFAULT = "safetensors"
"""The format of a file whose content and suffix belong to no format."""


def _formats(of: type[F]) -> dict[str, F]:
    """Return the formats of files, or those of folders, by name."""
    every = {name: FORMATS.load(name).FORMAT for name in FORMATS}
    return {name: one for name, one in every.items() if isinstance(one, of)}


def suffixes() -> dict[str, str]:
    """Return the format's name for each suffix of a checkpoint file; a folder has none of them."""
    return {suffix: name for name, one in _formats(FileFormat).items() for suffix in one.suffixes}


def suffix(path: Path) -> str:
    """Return the longest suffix of a checkpoint that a name ends with, in lower case; "" if none.

    `model_best.pth.tar` ends with `.pth.tar`.
    """
    ends = (one for one in suffixes() if path.name.lower().endswith(one))
    return max(ends, key=len, default="")


def is_checkpoint(path: Path) -> bool:
    """Return whether a path has a checkpoint's suffix or content, or a model's of another kind.

    A folder is one if a library saved it there.
    """
    if path.is_dir():
        folders = _formats(FolderFormat).values()
        known = (path / folder.CONFIG).is_file() or any(one.recognises(path) for one in folders)
        return known or foreign.recognised(path) is not None
    if suffix(path):
        return True
    return path.is_file() and (bool(_by_content(path)) or foreign.recognised(path) is not None)


def _by_content(path: Path) -> str | None:
    """Return the format of a file's content, if its first bytes say so."""
    formats = _formats(FileFormat)
    return next((k for k, one in formats.items() if one.recognises and one.recognises(path)), None)


def _file_format(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the format of a path, and a note if its suffix names another one.

    Raises:
        RequestError: it is empty, or a model of another kind, which is named.
    """
    if path.is_file() and path.stat().st_size == 0:
        raise RequestError(f"{path} is empty", "copy it again, or give another checkpoint")
    named = suffixes().get(suffix(path))
    try:
        found = _by_content(path) if path.is_file() else None
        by_content = named is None or _formats(FileFormat)[named].recognises is not None
        if found is None and by_content and (other := foreign.recognised(path)):
            raise RequestError(f"{path} {other.what}", other.hint.format(name=path))
    except OSError:
        found = None  # reading it reports the reason
    if found and named and found != named:
        return found, (f"{path.name} is a {found} file, whatever its suffix says",)
    return found or named or DEFAULT, ()


def read(path: str | Path, weights: Which | None = None) -> Checkpoint:
    """Read a checkpoint of any format.

    Args:
        path: file or folder; the content of a file decides its format, not its suffix.
        weights: which of a file's weights to use, if it holds averages (EMA) too.

    Raises:
        RequestError: it is not a checkpoint, it is broken or unsafe, or its library is missing; or
            it holds averages too, and `weights` does not choose.
    """
    return chosen(read_all(path), weights)


def read_all(path: str | Path) -> Checkpoint:
    """Read a checkpoint with all sets of its weights, the others in `others`.

    Raises:
        RequestError: as `read`; or it is a file in a library's folder that is not the folder's
            weights.
    """
    place = Path(path)
    kind, notes = _file_format(place)
    if kind != DEFAULT:
        found = _read(kind, place)
        return replace(found, notes=(*notes, *found.notes))
    if not place.is_dir() and (found := _read(DEFAULT, place)).metadata:
        return replace(found, notes=(*notes, *found.notes))
    # Bare weights may be in a library's folder, which describes them.
    folders = _formats(FolderFormat)
    for name, one in folders.items():
        if one.recognises(place):
            if not place.is_dir() and place.name != folder.WEIGHTS:
                raise RequestError(
                    f"{place} is in a folder of {name}, whose weights are another file",
                    "name the folder, or move the file out of it",
                )
            return _read(name, place)
    if place.is_dir():
        known = " or ".join(folders)
        raise RequestError(f"{place} is not a folder of {known}", "give a checkpoint file")
    return replace(found, notes=(*notes, *found.notes))


def chosen(found: Checkpoint, weights: Which | None) -> Checkpoint:
    """Return the checkpoint with one of its sets of weights; the others are left out."""
    sets = {"raw": found} | ({"ema": found.others[0]} if found.others else {})
    if not found.others:
        named = any(map(is_average, found.tensors))  # `fit` chooses by prefix
        inside = any(is_average(name.removesuffix("n_averaged")) for name in found.tensors)
        if any(map(is_average, found.key)) and not inside:
            sets = {"ema": found}
        elif named or not found.key:
            unsaid = [UNSAID] if weights == "ema" and not named else []
            return replace(found, notes=(*found.notes, *unsaid), wanted=weights)
    known = {which: ".".join(one.key) for which, one in sets.items()}
    equal = len(sets) == 2 and same(*(unwrap(one.tensors)[1] for one in sets.values()))
    which = pick(found.path, weights, known, equal=equal)
    used = sets.pop(which)
    notes = [f"of the weights, {known[which]!r} are used"] if sets else []
    return replace(used, kind=found.kind, others=(), notes=(*used.notes, *notes), wanted=weights)


def _read(kind: str, path: Path) -> Checkpoint:
    """Read a checkpoint, and add the builder of its architecture if a library owns it."""
    loaded: FileFormat | FolderFormat = FORMATS.load(kind).FORMAT
    found = replace(loaded.read(path), kind=kind)
    said = found.metadata
    if found.build or said is None or said.arch_config is None:
        return found
    beside = {name: text.encode() for name, text in (said.beside or {}).items()}
    return replace(found, build=library_builder(said.arch, said.arch_config), beside=beside)


def written(
    out: Path, tensors: Tensors, metadata: Metadata | None, source: Checkpoint
) -> dict[Path, bytes]:
    """Return the files of a checkpoint made from `source`, with tensors by the module's names.

    The suffix of `out` names the format, but a suffix like the source's means its format. A folder
    is in the source's format and needs metadata.
    """
    tensors, files = source.restored(tensors), _formats(FileFormat)
    if ending := suffix(out):
        alike = ending == suffix(source.path) and source.kind in files
        kind = source.kind if alike else suffixes()[ending]
        return {out: files[kind].write(tensors, metadata, source)}
    assert metadata is not None
    made = _formats(FolderFormat)[source.kind].write(tensors, metadata, source)
    return {out / name: content for name, content in made.items()}


def kind_of_output(out: Path, metadata: Metadata | None) -> str | None:
    """Return the format that a suffix names, or else the library of the architecture."""
    library = metadata.arch.partition("/")[0] if metadata else ""
    return suffixes().get(suffix(out)) or (library if library in _formats(FolderFormat) else None)


def check_output(out: Path, source: Checkpoint) -> None:
    """Refuse an output whose name is a folder's if the source is a file.

    Raises:
        RequestError: the format of the output is unknown.
    """
    if not suffix(out) and source.kind not in _formats(FolderFormat):
        known = ", ".join(suffixes())
        raise RequestError(f"{out} has no known suffix", f"use one of {known}")


def refuse_other_weights(out: Path, made: Callable[[], Iterable[Path]], *, force: bool) -> None:
    """Refuse a folder as output if it holds weights that the new files would not replace.

    A library may load these instead, and they would keep what is forgotten.

    Args:
        out: the output; a file is not checked.
        made: returns the new files; called only if the folder holds weights.
        force: whether weights of the same names may be replaced.

    Raises:
        RequestError: there is such a file; it is named.
    """
    files = sorted(out.iterdir()) if out.is_dir() else []
    weights = [one for one in files if one.is_file() and _holds_weights(one)]
    new = {file.name for file in made()} if weights and force else set()
    for file in weights:
        if file.name not in new:
            why = ", and --force would not replace it" if force else ""
            raise RequestError(f"{file} exists{why}", "remove it, or choose another --out")


def _holds_weights(file: Path) -> bool:
    return file.name.endswith(".index.json") or is_checkpoint(file)


def default_out(model: Path, word: str) -> Path:
    """Return an output beside the model, named after it."""
    if model.is_dir():
        named = model if model.name not in ("", "..") else model.resolve()  # `.` has no name
        return named.with_name(f"{named.name}.{word}")
    if ending := suffix(model):
        stem, own = model.name[: -len(ending)], model.name[-len(ending) :]
        return model.with_name(f"{stem}.{word}{own}")
    kind = (_by_content(model) if model.is_file() else None) or DEFAULT
    return model.with_name(f"{model.name}.{word}{_formats(FileFormat)[kind].suffixes[0]}")


def digest(path: Path) -> str:
    """Return the SHA-256 of a checkpoint: of a file's bytes, or of all files of a folder."""
    if not path.is_dir():
        return sha256(path)
    return folder.digest({file.name: sha256(file) for file in path.iterdir() if file.is_file()})


def digest_of(files: dict[Path, bytes]) -> str:
    """Return `digest` of files before they are written."""
    contents = {path.name: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    return next(iter(contents.values())) if len(contents) == 1 else folder.digest(contents)
