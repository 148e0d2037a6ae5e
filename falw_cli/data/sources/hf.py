"""`hf:DIR`: a dataset written by Hugging Face's `save_to_disk`, or cached by `load_dataset`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
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
        found = library.load_from_disk(str(folder)) if saved else _cached(spec, library)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(f"{spec.text!r} cannot be loaded: {reason}", SAVE_IT) from error
    parts: tuple[str, ...] = ()
    if isinstance(found, library.DatasetDict):
        parts = tuple(found)
        spec = replace(spec, part=choose_part(spec, parts))
        found = found[spec.part]
    elif saved and spec.part and spec.part != str(found.split):
        raise RequestError(
            f"{spec.text!r} is one dataset, of the part {found.split or 'without a name'}",
            f"leave out #{spec.part}",
        )
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


def _values(found: Any, name: str) -> list[object]:
    """Return a column, with the names of its classes where it has any."""
    names = getattr(found.features[name], "names", None)
    values: list[object] = list(found[name][:])
    if names is None:
        return values
    known = range(len(names))
    return [names[one] if isinstance(one, int) and one in known else None for one in values]


def _cached(spec: Spec, library: ModuleType) -> Any:
    """Return the part in a folder below `~/.cache/huggingface/datasets`, of one or more files."""
    infos = sorted(spec.location.rglob("dataset_info.json"))
    if len(infos) != 1:
        raise RequestError(f"{spec.text!r} holds {len(infos) or 'no'} datasets", SAVE_IT)
    name = re.compile(r".+-([^-]+?)(-\d+-of-\d+)?\.arrow")
    found: dict[str, list[Path]] = {}
    for file in sorted(infos[0].parent.iterdir()):
        if known := name.fullmatch(file.name):
            found.setdefault(known[1], []).append(file)
    files = found[choose_part(spec, tuple(found))]
    check_complete(spec, files)
    return library.concatenate_datasets([library.Dataset.from_file(str(file)) for file in files])


source = Source(listing, parts="any", columns=True)
