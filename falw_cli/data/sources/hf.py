"""`hf:DIR`: a dataset written by Hugging Face's `save_to_disk`, or cached by `load_dataset`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from falw_cli.data.columns import Cells, column_listing, image_and_label
from falw_cli.data.listing import Listing, Source, Spec, choose_part, files_below, folder_of
from falw_cli.data.shards import check_complete
from falw_cli.errors import RequestError
from falw_cli.runtime.extras import need

SAVE_IT = "save it with Dataset.save_to_disk, or name one dataset's folder in the local cache"


def listing(spec: Spec, allow_outside: bool) -> Listing:
    """Return the samples of a dataset; a part is chosen if the dataset has parts."""
    folder = folder_of(spec)
    library = need("datasets", "data", spec.text)
    try:
        saved = any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))
        found: Any = library.load_from_disk(str(folder)) if saved else _cached(spec)
        parts = tuple(found) if isinstance(found, dict) else ()  # a DatasetDict is one
        spec = replace(spec, part=_part(spec, found, parts))
        found = found[spec.part] if parts else found
        if isinstance(found, list):
            check_complete(spec, found)
            shards = [library.Dataset.from_file(str(file)) for file in found]
            found = library.concatenate_datasets(shards)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(f"{spec.text!r} cannot be loaded: {reason}", SAVE_IT) from error
    image, label, notes = image_and_label(found.column_names, spec)
    plain = found.cast_column(image, library.Image(decode=False))
    names = getattr(found.features[label], "names", None)
    ids = found["id"][:] if "id" in found.column_names else None
    cells = Cells(
        plain[image], np.arange(len(found)), folder, partial(files_below, folder, "*.arrow")
    )

    def further() -> dict[str, Sequence[object]]:
        plain = (library.Value, library.ClassLabel)
        skipped = {image, label, "id"}
        kinds = {k: v for k, v in found.features.items() if isinstance(v, plain)}
        return {name: _values(found, name) for name in kinds if name not in skipped}

    values = list(found[label][:])
    listed = column_listing(spec, cells, ids, values, names, further, notes)
    return replace(listed, parts=parts)


def _part(spec: Spec, found: Any, parts: Sequence[str]) -> str:
    """Return the part to read; "" for one dataset, which may be the part that the SPEC names."""
    if parts:
        return choose_part(spec, parts)
    if spec.part and spec.part.casefold() != str(found.split).casefold():
        raise RequestError(
            f"{spec.text!r} is one dataset, of the part {found.split or 'without a name'}",
            f"leave out #{spec.part}",
        )
    return ""


def _values(found: Any, name: str) -> list[object]:
    """Return a column, with the names of its classes where it has any."""
    names = getattr(found.features[name], "names", None)
    values: list[object] = list(found[name][:])
    if names is None:
        return values
    known = range(len(names))
    return [names[one] if isinstance(one, int) and one in known else None for one in values]


def _cached(spec: Spec) -> dict[str, list[Path]]:
    """Return the files of each part in a folder below `~/.cache/huggingface/datasets`."""
    infos = sorted(spec.location.rglob("dataset_info.json"))
    if len(infos) != 1:
        raise RequestError(f"{spec.text!r} holds {len(infos) or 'no'} datasets", SAVE_IT)
    name = re.compile(r".+-([^-]+?)(-\d+-of-\d+)?\.arrow")
    found: dict[str, list[Path]] = {}
    for file in sorted(infos[0].parent.iterdir()):
        if known := name.fullmatch(file.name):
            found.setdefault(known[1], []).append(file)
    if not found:
        raise RequestError(f"{spec.text!r} holds no .arrow file NAME-PART.arrow", SAVE_IT)
    return found


source = Source(listing, parts="any", columns=True)
