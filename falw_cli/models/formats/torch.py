"""torch files, read by torch's weights-only loader, which runs no code.

falw's metadata is an attribute of the dictionary, as torch's own `_metadata` is. It adds no entry,
so a state dict still loads into a module.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from falw_cli.config.paths import similar
from falw_cli.errors import RequestError
from falw_cli.models import foreign, inert
from falw_cli.models.checkpoint import (
    KEY,
    Checkpoint,
    Metadata,
    Tensors,
    metadata_from,
    require_finite,
    sha256,
)
from falw_cli.models.fitting import unwrap
from falw_cli.models.interfaces import FileFormat
from falw_cli.models.rival_weights import LIVE, averaged, is_state, with_rivals
from falw_cli.models.weight_sets import extraction, is_average, without_average

WEIGHTS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")
"""Keys of the weights in training dictionaries; the first is Lightning's."""
INNER = ("state_dict", "model_state_dict", "module", "model", "shadow", "params")
"""Keys of the weights in an entry that holds more about them."""
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes that torch wrote before 1.6: a pickled magic number."""
ARCHIVE = b"PK\x03\x04"
"""The first bytes of a zip archive."""


def recognises(path: Path) -> bool:
    """Return whether torch.save wrote a file: a zip archive of its own, or the old form."""
    # An archive that cannot be opened is taken for one that was cut off.
    if _starts_with(path, ARCHIVE):
        return not foreign.recognised(path)
    return _starts_with(path, LEGACY)


def _starts_with(path: Path, start: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(start)) == start


def read(path: Path) -> Checkpoint:
    """Read a state dict, or a dictionary that holds one.

    Raises:
        RequestError: no such file, or it holds no weights, or more than inert values.
    """
    if not path.is_file():
        raise RequestError(f"no checkpoint {path}", f"{similar(path)}check the path")
    digest = sha256(path)
    _check_size(path)
    whole = _load(path)
    sets = [*_sets(whole)]
    if not sets and len(several := _named(whole)) > 1:
        raise RequestError(
            f"{path} holds several state dicts: {', '.join(several)}",
            f"save one alone; {several[0]!r} is saved by: "
            + extraction(path, "torch", (several[0],), ""),
        )
    unnamed = ", ".join(map(repr, _unnamed(whole)))
    if not sets and unnamed:
        raise RequestError(
            f"{path} holds averaged weights without names: {unnamed}", foreign.COPY_TO
        )
    if not sets:
        raise RequestError(
            f"{path} holds no state dict", f"save one, alone or at {', '.join(WEIGHTS)}"
        )
    found = [_checkpoint(path, digest, whole, key, tensors) for key, tensors in sets]
    raw = [one for one in found if not averaged(one.key, whole)]
    first = (raw or found)[0]
    others = [one for one in found if averaged(one.key, whole)][:1] if raw else []
    first, *others = (with_rivals(one, whole, dict(sets)) for one in (first, *others))
    if unnamed:
        note = f"the averaged weights at {unnamed} have no names and are not used; to use them, "
        first = replace(first, notes=(*first.notes, f"{note}{foreign.COPY_TO}"))
    return replace(first, others=tuple(others))


def _check_size(path: Path) -> None:
    """Refuse an archive that unpacks to more than its size: torch.save does not compress."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # the old form; the loader reports an archive that was cut off
    if unpacked > path.stat().st_size:
        raise RequestError(
            f"{path} unpacks to {unpacked >> 20} MiB, which is more than its size",
            "save it with torch.save",
        )


def _load(path: Path) -> Any:
    try:
        # An open file: torch takes a path that ends in .safetensors for another format.
        with torch.serialization.safe_globals(inert.ALLOWED), path.open("rb") as stream:
            return torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # the loader raises many kinds of errors
        text = str(error)
        if _starts_with(path, ARCHIVE) and not _has_end(path):
            raise RequestError(
                f"{path} is incomplete: its end is missing", "copy it again"
            ) from error
        if "torch.nn.modules" in text or "torch.nn.modules." in " ".join(_globals(path)):
            hint = foreign.WHOLE.hint.format(name=path)
            raise RequestError(f"{path} {foreign.WHOLE.what}", hint) from error
        raise RequestError(
            f"{path} cannot be loaded: {_reason(text, error)}", foreign.TO_WEIGHTS
        ) from error


def _has_end(path: Path) -> bool:
    """Return whether an archive has its end, valid or not."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # it names several disks
        return True


def _globals(path: Path) -> list[str]:
    """Return the names of other types in a file, without loading it."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # not a zip archive, or cut off
        return []


def _reason(text: str, error: Exception) -> str:
    if "nsupported" in text or "weights_only" in text or "Weights only" in text:
        found = re.search(r"GLOBAL ([\w.]+)", text)
        named = f" ({found[1]})" if found else ""
        return f"it holds more than weights, which could run code{named}"
    return text.strip().partition("\n")[0] or type(error).__name__


def _sets(whole: object) -> Iterator[tuple[tuple[str, ...], Mapping[str, Tensor]]]:
    """Yield keys and tensors of the weights in a file: of the usual keys first, then averages."""
    if not isinstance(whole, Mapping):
        return
    if is_state(whole):
        yield (), whole
        return
    text = [key for key in whole if isinstance(key, str)]
    usual = [key for key in (LIVE, *WEIGHTS) if key in text]
    averages = [key for key in text if is_average(key) and key not in usual]
    paired = [key for key in _named(whole) if _has_average(whole, key, averages)]
    count = 0
    for key in dict.fromkeys([*usual, *paired, *averages]):
        for path, tensors in _at(whole, key):
            count += 1
            yield path, tensors
    if count:
        return
    named = _named(whole)
    if len(named) == 1:
        yield (named[0],), whole[named[0]]
    elif not named and (tensors := {k: whole[k] for k in text if isinstance(whole[k], Tensor)}):
        yield (), tensors


def _has_average(whole: Mapping[str, Any], key: str, averages: list[str]) -> bool:
    """Return whether a state dict at an unusual key is what one of the averages is made of."""
    if key in averages:
        return False
    names = unwrap(whole[key])[1].keys()
    return any(
        without_average(one) == without_average(key) or unwrap(tensors)[1].keys() == names
        for one in averages for _, tensors in _at(whole, one)
    )  # fmt: skip


def _named(whole: object) -> list[str]:
    """Return the keys of a dictionary that hold a state dict."""
    entries = whole.items() if isinstance(whole, Mapping) else ()
    return [key for key, value in entries if isinstance(key, str) and is_state(value)]


def _at(
    whole: Mapping[str, Any], key: str
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Tensor]]]:
    value = whole[key]
    if is_state(value):
        yield (key,), value
    elif isinstance(value, Mapping):
        averages = [one for one in value if isinstance(one, str) and is_average(one)]
        usual = [one for one in INNER if one not in averages]
        for names in (usual, averages):
            yield from [((key, one), value[one]) for one in names if is_state(value.get(one))][:1]


def _unnamed(whole: object) -> Iterator[str]:
    """Yield the places of averages that are lists of tensors, as torch_ema writes them."""
    entries = whole if isinstance(whole, Mapping) else {}
    inside = {f"{key}.": value for key, value in entries.items() if isinstance(value, Mapping)}
    for place, some in {"": entries, **inside}.items():
        for key, value in some.items():
            listed = isinstance(value, list | tuple) and value and isinstance(key, str)
            if listed and is_average(key) and all(isinstance(one, Tensor) for one in value):
                yield f"{place}{key}"


def _checkpoint(
    path: Path, digest: str, whole: Mapping[str, Any], key: tuple[str, ...], found: Tensors
) -> Checkpoint:
    """Return one of the sets of weights; entries that hold inert values only are kept.

    An optimizer's moments and averaged weights hold traces of the forget samples and are dropped.
    """
    tensors = {name: tensor.detach() for name, tensor in found.items()}
    require_finite(path, tensors)
    rest = {k: v for k, v in whole.items() if k not in (found if not key else key[:1])}
    around, left_out = inert.kept(rest)
    if len(key) == 2:
        beside, more = inert.kept({k: v for k, v in whole[key[0]].items() if k != key[1]})
        around[key[0]], left_out = beside, [*left_out, *(f"{key[0]}.{one}" for one in more)]
    notes = [] if key in ((), *((one,) for one in WEIGHTS)) else [
        f"the weights are those at {'.'.join(key)!r}"
    ]  # fmt: skip
    if left_out:
        notes.append(f"left out of the output, since only weights and settings are kept: "
                     f"{', '.join(left_out)}")  # fmt: skip
    said = metadata_from(path, getattr(whole, KEY, None))
    return Checkpoint(
        path, digest, tensors, metadata=said, around=around, key=key, notes=tuple(notes)
    )


def write(tensors: Tensors, metadata: Metadata | None, source: Checkpoint) -> bytes:
    """Return a file with these weights, the metadata, and the entries kept from the source."""
    whole: dict[str, Any] = dict(tensors)
    for depth in range(len(source.key), 0, -1):
        beside = source.around if depth == 1 else source.around.get(source.key[0], {})
        whole = {**beside, source.key[depth - 1]: whole}
    if not source.key:
        whole = {**source.around, **whole}
    if metadata:
        whole = OrderedDict(whole)
        setattr(whole, KEY, metadata.model_dump_json(exclude_none=True))
    stream = io.BytesIO()
    torch.save(whole, stream)
    return stream.getvalue()


FORMAT = FileFormat(
    suffixes=(".pt", ".pth", ".ckpt", ".bin", ".pth.tar", ".pt.tar"), read=read, write=write,
    recognises=recognises,
)  # fmt: skip
