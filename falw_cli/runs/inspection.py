"""`falw inspect`: facts about a checkpoint, a data source, a forget list or a report."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from falw_cli.audit import seal
from falw_cli.audit.report import Report
from falw_cli.config.extensions import SOURCES
from falw_cli.config.paths import similar
from falw_cli.config.settings import Config
from falw_cli.data import forget_list, ledger, loading, opening
from falw_cli.data.decoding import header_notes
from falw_cli.data.images import Rows
from falw_cli.data.labels import is_unnamed
from falw_cli.data.metadata import columns_of
from falw_cli.data.splits import guessed_names
from falw_cli.data.text import BOM
from falw_cli.errors import RequestError, nearest
from falw_cli.models import checkpoint_files
from falw_cli.models.checkpoint import Checkpoint, load_weights
from falw_cli.models.fitting import unwrap
from falw_cli.models.foreign import named_tensors
from falw_cli.models.inputs import completed
from falw_cli.models.network import NetworkSpec, network_spec, with_metadata
from falw_cli.models.output_names import output_names
from falw_cli.models.pruning import merged, sparse
from falw_cli.runtime.printable import counted
from falw_cli.runtime.progress import Progress

GIVE = "give an audit report, such as model.unlearned.audit.json"
LEDGER = b'{"version":1,"created":'
REPORT_LIMIT = 256 << 20
"""Maximum bytes of a report; one on a thousand classes has a few MiB."""


def inspect_path(path: str, config: Config, progress: Progress) -> dict[str, Any]:
    """Return facts about `path`; the fact `kind` is the detected type.

    A file of weights is a checkpoint, one that begins as a ledger's line a ledger, .json a report
    unless it holds a list, KIND:LOCATION a data source, anything else a forget list. The classes of
    a list are counted if the config names the training data.

    Raises:
        RequestError: `path` cannot be read.
    """
    kind = path.partition("#")[0].partition(":")[0]
    if kind in SOURCES and not Path(path).exists():
        return _data(path, config, progress)
    if checkpoint_files.is_checkpoint(Path(path)):
        return _checkpoint(path, config)
    if _starts_with(Path(path), LEDGER):
        return _ledger(path)
    if path.endswith(".json") and not _starts_with(Path(path), b"["):
        report = read_report(Path(path), progress)
        return {"kind": "report", "path": str(Path(path)), "report": report}
    if Path(path).is_dir():
        raise RequestError(f"{path} is a folder", f"for a data source, write imagefolder:{path}")
    if path != "-" and not os.path.lexists(path):
        source = nearest(path, SOURCES)
        meant = similar(path) or (f"did you mean {source!r}? " if source else "")
        hint = "give a checkpoint, a report, a forget list, or a data source as KIND:LOCATION"
        raise RequestError(f"{path} does not exist", meant + hint)
    return _forget_list(path, config)


def _starts_with(path: Path, start: bytes) -> bool:
    """Return whether a file's text begins so: a report is an object, a list of IDs an array."""
    try:
        with path.open("rb") as stream:
            return stream.read(1024).removeprefix(BOM).lstrip().startswith(start)
    except OSError:
        return False


def _ledger(path: str) -> dict[str, Any]:
    """Describe a ledger. `falw verify --ledger` checks it."""
    entries = ledger.read(path)
    return {
        "kind": "ledger",
        "path": path,
        "runs": len(entries),
        "IDs": sum(len(one.ids) for one in entries),
        "first": f"{entries[0].created:%Y-%m-%d %H:%M}",
        "last": f"{entries[-1].created:%Y-%m-%d %H:%M}",
    }


def _checkpoint(path: str, config: Config) -> dict[str, Any]:
    whole = checkpoint_files.read_all(path)
    found = checkpoint_files.chosen(whole, config.weights) if config.weights else whole
    sets = {".".join(one.key) for one in (whole, *whole.others)} - {""}
    found, fitted = _fitted(found, config)
    said = found.metadata
    notes = [*found.notes, *fitted, *sparse(found.tensors)]
    if whole.others and not config.weights:
        notes.append("a command that uses the weights needs --weights ema or --weights raw")
    sizes = [tensor.numel() for tensor in found.tensors.values()]
    return {
        "kind": "checkpoint",
        "path": path,
        "sha256": found.sha256,
        "tensors": len(sizes),
        "parameters": sum(sizes),
        "dtypes": sorted({str(t.dtype).removeprefix("torch.") for t in found.tensors.values()}),
        "prefix": found.prefix,
        "format": found.kind,
        **({"weights": sorted(sets)} if sets else {}),
        **({"entries": sorted(map(str, found.around))} if found.around else {}),
        **({"extra_tensors": sorted(found.extras)} if found.extras else {}),
        **({"notes": notes} if notes else {}),
        **(said.model_dump(mode="json", exclude_none=True) if said else {"arch": config.arch}),
    }


def _fitted(found: Checkpoint, config: Config) -> tuple[Checkpoint, list[str]]:
    """Return a checkpoint by its architecture's names if they are known, and notes on guesses."""
    try:
        settled = with_metadata(config, found)
        if settled.arch is not None:
            spec, fitted = network_spec(settled, found)
            load_weights(spec.build(), fitted, spec.arch)
            _, guess = completed(settled.preprocessing, spec)
            return fitted, [*([guess] if guess else []), *_outputs(settled, spec)]
    except RequestError as error:
        return merged(found), [f"not compared with the architecture: {error}"]
    found = merged(found)
    prefix, tensors = unwrap(found.tensors)
    notes = ["it does not name its architecture: give --arch, a NAME or package.module:function"]
    notes += [f"{prefix!r} is probably a wrapper's prefix; --arch decides"] if prefix else []
    if known := named_tensors(tensors):
        notes.append(f"it {known.what}: {known.hint.format(name=found.path)}")
    return replace(found, prefix=prefix), notes


def _outputs(config: Config, spec: NetworkSpec) -> list[str]:
    """Return notes on the names of the outputs: what is guessed, if the data is known."""
    classes = config.classes or spec.stored_classes
    if config.data is None:
        named = classes is not None and not is_unnamed(classes)
        unnamed = f"its {spec.num_classes} outputs have no names: with --data, those of the data"
        return [] if named else [unnamed]
    try:
        listing = loading.open_source(config, "data")
        classes, guess = output_names(classes, listing, spec.num_classes)
        return [*([guess] if guess else []), *guessed_names(listing, classes)]
    except RequestError as error:
        return [f"not compared with the data: {error}"]


def _data(spec: str, config: Config, progress: Progress) -> dict[str, Any]:
    listing = opening.open_listing(
        spec, allow_outside=config.allow_outside, label_column=config.label_column
    )
    found = columns_of(listing, config.metadata, progress)
    notes = [*listing.notes, *header_notes(listing), *found.unusable.values()]
    columns = {name: counted(len(set(one) - {""}), "value") for name, one in found.values.items()}
    return {
        "kind": "data",
        "spec": spec,
        "count": len(listing.ids),
        "first_ids": list(listing.ids[:3]),
        **({"parts": list(listing.parts)} if listing.parts else {}),
        **({"columns": columns} if columns else {}),
        **({"notes": notes} if notes else {}),
        "per_class": _per_class(listing.classes, listing.labels),
    }


def _forget_list(path: str, config: Config) -> dict[str, Any]:
    listing = loading.open_source(config, "data") if config.data is not None else None
    found = forget_list.read(path, listing.ids if listing else ())
    facts: dict[str, Any] = {
        "kind": "forget list",
        "path": path,
        "sha256": found.sha256,
        "count": len(found.ids),
        "duplicates": found.duplicates,
        **({"remarks": list(found.remarks)} if found.remarks else {}),
    }
    if listing is None:
        return facts | {"note": "give --data for the counts per class"}
    known = set(listing.ids)
    rows = forget_list.find([name for name in found.ids if name in known], listing.ids)
    if len(rows) < len(found.ids):
        try:
            forget_list.find(found.ids, listing.ids)
        except RequestError as error:
            facts["note"] = f"{error}; {error.hint}"
    per_class = _per_class(listing.classes, listing.labels[rows])
    return facts | {
        "unknown": len(found.ids) - len(rows),
        "percent_of_data": round(100 * len(rows) / len(listing.ids), 2),
        "per_class": dict(sorted(per_class.items(), key=lambda item: -item[1])),
    }


def read_report(path: Path, progress: Progress | None = None) -> Report:
    """Read an audit report, and warn if its digest is wrong: it then has no verdict.

    Raises:
        RequestError: no such file, or not an audit report.
    """
    content = read_content(path)
    report = as_report(content, path)
    report._problem = seal.problem(content)
    if report._problem and progress is not None:
        progress.warn(f"{path} {report._problem}")
    return report


def read_content(path: Path) -> dict[str, Any]:
    """Read the JSON of an audit report, with the keys that the file has.

    Raises:
        RequestError: no such file, or not a JSON object.
    """
    if _starts_with(path, LEDGER):
        raise RequestError(f"{path} is a ledger", f"to check it: falw verify --ledger {path}")
    try:
        if path.stat().st_size > REPORT_LIMIT:
            raise RequestError(f"{path} is larger than 256 MiB", GIVE)
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(
            f"{path} cannot be read: {error.strerror}", f"{similar(path)}check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        why = "it is not text" if isinstance(error, UnicodeDecodeError) else error
        raise RequestError(f"{path} is not JSON: {why}", GIVE) from error
    if not isinstance(content, dict):
        raise RequestError(f"{path} is not an audit report", GIVE)
    return content


def as_report(content: dict[str, Any], path: Path) -> Report:
    """Return the report with this JSON.

    Raises:
        RequestError: it is not an audit report.
    """
    try:
        return Report.model_validate(content)
    except ValidationError as error:
        if "schema_version" not in content:
            raise RequestError(
                f"{path} is not an audit report: it has no schema_version",
                f"{GIVE}; a list of IDs in JSON begins with [",
            ) from error
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RequestError(
            f"{path} is not an audit report: {where}: {first['msg']}", GIVE
        ) from error


def _per_class(classes: tuple[str, ...], labels: Rows) -> dict[str, int]:
    counts = np.bincount(labels, minlength=len(classes))
    return {name: int(count) for name, count in zip(classes, counts, strict=True)}
