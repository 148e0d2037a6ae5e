"""`hf:DIR`: a dataset written by Hugging Face's `save_to_disk`, or cached by `load_dataset`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from falw_cli.data.columns import Cells, column_listing, image_and_label
from falw_cli.data.listing import Listing, Source, Spec, folder_of
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
    if isinstance(found, library.DatasetDict):
        if spec.part not in found:
            raise RequestError(
                f"{spec.text!r} has no part {spec.part!r}", f"choose from: {', '.join(found)}"
            )
        found = found[spec.part]
    image, label = image_and_label(found.column_names, spec)
    plain = found.cast_column(image, library.Image(decode=False))
    names = getattr(found.features[label], "names", None)
    ids = found["id"][:] if "id" in found.column_names else None
    cells = Cells(plain[image], np.arange(len(found)), folder, "*.arrow")

    def further() -> dict[str, Sequence[object]]:
        plain = (library.Value, library.ClassLabel)
        skipped = {image, label, "id"}
        kinds = {k: v for k, v in found.features.items() if isinstance(v, plain)}
        return {name: _values(found, name) for name in kinds if name not in skipped}

    return column_listing(spec, cells, ids, list(found[label][:]), names, further)


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
    names = re.compile(rf".+-{spec.part}(-\d+-of-\d+)?\.arrow")
    files = [file for file in sorted(infos[0].parent.iterdir()) if names.fullmatch(file.name)]
    if not files:
        raise RequestError(f"{spec.text!r} has no part {spec.part!r}", SAVE_IT)
    return library.concatenate_datasets([library.Dataset.from_file(str(file)) for file in files])


source = Source(listing, parts="two")
