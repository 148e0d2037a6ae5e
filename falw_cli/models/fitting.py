"""A checkpoint's tensors by the names of a module: wrappers, ties, averages and extra tensors."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from falw_cli.errors import RequestError
from falw_cli.models.architectures import COUNTER
from falw_cli.models.checkpoint import Checkpoint
from falw_cli.models.pruning import merged
from falw_cli.models.weight_sets import extraction, is_average, pick, same
from falw_cli.runtime.printable import counted

TRANSPARENT = frozenset({
    "module", "_orig_mod", "_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
})  # fmt: skip
"""Attributes of wrappers that may be anywhere in a name: DataParallel (also of a part of the
network), torch.compile, Opacus, FSDP and activation checkpointing."""
PREFIXES = ("module.", "_orig_mod.", "_module.", "timm_model.", "model.", "net.", "network.",
            "backbone.")  # fmt: skip
"""Prefixes that are taken for a wrapper's where no module is known."""
OF_LOSSES = frozenset({
    "criterion", "criterions", "criteria", "loss", "losses", "metric", "metrics", "acc", "acc1",
    "acc5", "accuracy", "auroc", "auc", "f1", "f1score", "confmat", "recall", "ece",
})  # fmt: skip
"""Words of a name that make an extra tensor one of a loss or a metric."""
COUNTERS = frozenset(
    {"pos_weight", "class_weight", "class_weights", "total_ops", "total_params", "n_averaged"}
)
"""Last parts of an extra tensor's name: class weights of a loss, thop's counts, torch's count of
averaged models."""
OF_AVERAGES = frozenset({"initted", "step"})
"""Names of the extra tensors of ema_pytorch, which keeps both networks in one state dict."""
Key = Callable[[str], str]


def unwrap(tensors: Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """Return the prefix of every name that is probably a wrapper's, and the tensors without it."""
    shared, prefix = os.path.commonprefix(list(tensors)), ""  # noqa: RUF071 (of characters)
    while longer := next((prefix + p for p in PREFIXES if shared.startswith(prefix + p)), None):
        prefix = longer
    return prefix, {name[len(prefix) :]: tensor for name, tensor in tensors.items()}


def fit(source: Checkpoint, module: nn.Module) -> Checkpoint:
    """Return the checkpoint with its tensors by the module's names, and how to restore the file's.

    A prefix is stripped only where every tensor of the module is found below it. A tensor that the
    file lacks is taken from another name of the same parameter. Extra tensors are kept if their
    names say that they belong to a loss or a metric; others stay in `tensors` by their own names,
    and loading refuses them. If no prefix fits, the names that fit best are used. BatchNorm's
    counters are 0 if the file has none, as torch before 0.4.1 wrote it, and are not written.

    Raises:
        RequestError: the file holds several copies of the network, and none was chosen, or two
            tensors for one of the module's; or the module has state that is no tensor.
    """
    whole = dict(module.state_dict(keep_vars=True))
    if strange := [name for name, value in whole.items() if not isinstance(value, Tensor)]:
        raise RequestError(
            f"the architecture's state dict holds {strange[0]!r}, which is no tensor",
            "only tensors can be written: use a module without get_extra_state",
        )
    counters = [name for name in whole if name.rpartition(".")[2] == COUNTER]
    if not any(name.rpartition(".")[2] == COUNTER for name in source.tensors):
        zeros = {name: torch.zeros_like(whole.pop(name), device="cpu") for name in counters}
        found = _fit(source, whole)
        return replace(found, tensors={**found.tensors, **zeros})
    return _fit(source, whole)


def _fit(source: Checkpoint, expected: Mapping[str, Tensor]) -> Checkpoint:
    source = merged(source, expected)
    ties = _ties(expected)
    shared = _shared(expected)
    for key, cut in ((_same, ""), (_bare, ""), (_bare, shared)):
        wanted = {key(name)[len(cut) :]: name for name in expected}
        found = {key(name): name for name in source.tensors}
        if len(wanted) < len(expected) or len(found) < len(source.tensors):
            continue  # two names differ by a wrapper only
        if prefixes := _complete(wanted, found, ties):
            copies = {
                p: {wanted[m]: found[p + m] for m in wanted if p + m in found} for p in prefixes
            }
            return _fitted(source, expected, ties, copies)
    return _best(source, expected)


def _same(name: str) -> str:
    return name


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in TRANSPARENT)


def _shared(names: Iterable[str]) -> str:
    """Return the first part of all names without wrappers, with its dot; "" if they differ."""
    firsts = {_bare(name).partition(".")[0] for name in names}
    only = firsts.pop() if len(firsts) == 1 else ""
    return f"{only}." if only and all("." in _bare(name) for name in names) else ""


def _ties(expected: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the first name of the same tensor, for each name."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(tensor), name) for name, tensor in expected.items()}


def _prefixes(wanted: Mapping[str, str], found: Iterable[str]) -> Counter[str]:
    """Return the number of the module's tensors below each prefix of the file's names."""
    counts: Counter[str] = Counter()
    for name in found:
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in wanted:
                counts["".join(f"{part}." for part in parts[:cut])] += 1
    return counts


def _complete(
    wanted: Mapping[str, str], found: Mapping[str, str], ties: Mapping[str, str]
) -> list[str]:
    """Return the prefixes below which each of the module's tensors is, by one of its names."""
    groups = len(set(ties.values()))
    enough = [p for p, count in _prefixes(wanted, found).items() if count >= groups]
    complete = [
        p for p in enough
        if len({ties[name] for m, name in wanted.items() if p + m in found}) == groups
    ]  # fmt: skip
    return sorted(complete, key=len)


def _fitted(
    source: Checkpoint,
    expected: Mapping[str, Tensor],
    ties: Mapping[str, str],
    copies: Mapping[str, dict[str, str]],
) -> Checkpoint:
    prefix = _chosen(source, copies)
    names = copies[prefix]
    rest = {f: t for f, t in source.tensors.items() if f not in set(names.values())}
    averages = [f for f in rest if is_average(f.removesuffix("n_averaged"))]
    averages = [] if is_average(prefix) else averages
    left = [
        copy for p, copy in copies.items()
        if p != prefix and (is_average(p) != is_average(prefix) or _equal(source, copy, names))
    ]  # fmt: skip
    if averages and source.wanted != "raw" and len(copies) == 1:
        raise RequestError(
            f"{source.path} holds averaged weights beside the others: {averages[0]}",
            "--weights raw uses the others; for the averages, save them alone",
        )
    dropped = {*averages, *(f for copy in left for f in copy.values())}
    rest = {f: t for f, t in rest.items() if f not in dropped}
    top = {name.partition(".")[0] for name in expected}
    both = any(is_average(p) or "online_model." in p for p in copies)
    counts = OF_AVERAGES if both else frozenset()
    extras = {
        f: t for f, t in rest.items()
        if tolerated(f, prefix, top)
        or (f.rpartition(".")[2] in counts and (is_average(f) or f in counts))
    }  # fmt: skip
    tensors = _with_ties(source, names, ties)
    unknown = {f.removeprefix(prefix): t for f, t in rest.items() if f not in extras}
    if twice := sorted(tensors.keys() & unknown.keys()):
        raise RequestError(
            f"{source.path} holds two tensors that could be {twice[0]} of the network: it and "
            f"{names[twice[0]]}",
            f"save the network alone; {prefix!r} is saved by: "
            + extraction(source.path, source.kind, source.key, prefix),
        )
    return replace(
        source, tensors={**tensors, **unknown}, names=names, extras=extras,
        prefix=_stripped(names), notes=(*source.notes, *_notes(prefix, names, dropped, extras)),
    )  # fmt: skip


def _with_ties(
    source: Checkpoint, names: Mapping[str, str], ties: Mapping[str, str]
) -> dict[str, Tensor]:
    """Return the module's tensors; one that the file lacks is taken from another of its names.

    Raises:
        RequestError: the file has different tensors for one parameter.
    """
    known: dict[str, str] = {}
    for name, file in names.items():
        first = known.setdefault(ties[name], file)
        if first != file and not torch.equal(source.tensors[first], source.tensors[file]):
            raise RequestError(
                f"{source.path}: {first} and {file} differ, but the architecture has one parameter "
                "for both",
                "use an architecture in which these layers do not share their weights",
            )
    return {name: source.tensors[known[tie]] for name, tie in ties.items()}


def _stripped(names: Mapping[str, str]) -> str:
    """Return what was stripped from all names; "" if nothing was, or something inside them."""
    found = {f.removesuffix(m) if f.endswith(m) else "" for m, f in names.items()}
    return found.pop() if len(found) == 1 else ""


def _notes(
    prefix: str, names: Mapping[str, str], dropped: Iterable[str], extras: Iterable[str]
) -> list[str]:
    notes = []
    if not _stripped(names) and any(m != f for m, f in names.items()):
        example = next((m, f) for m, f in names.items() if m != f)
        notes.append(f"tensors are named otherwise than the module's: {example[1]} is {example[0]}")
    if dropped := sorted(dropped):
        notes.append(
            f"{counted(len(dropped), 'tensor')} of another copy of the network left out of the "
            f"output, which would keep what is forgotten: {_some(dropped)}"
        )
    if extras := sorted(extras):
        notes.append(f"tensors that the architecture lacks, kept as they are: {_some(extras)}")
    if any(name.endswith("pos_weight") for name in extras):
        notes.append(
            "pos_weight belongs to a loss with one sigmoid per output (multi-label); falw reads "
            "the outputs as classes of which one is right"
        )
    return notes


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" (and {len(names) - 3} more)" if len(names) > 3 else "")


def _chosen(source: Checkpoint, copies: Mapping[str, dict[str, str]]) -> str:
    """Return the prefix of the copy of the network that is meant."""
    raw = [p for p in copies if not is_average(p)]
    raw = [p for p in raw if p == raw[0] or not _equal(source, copies[p], copies[raw[0]])]
    averages = [p for p in copies if is_average(p)]
    if len(raw) > 1 and "" not in raw:
        raise RequestError(
            f"{source.path} holds {len(raw)} copies of the network: {', '.join(raw)}",
            f"save the one that is meant alone; {raw[0]!r} is saved by: "
            + extraction(source.path, source.kind, source.key, raw[0]),
        )
    if not averages:
        return raw[0]  # nothing says what they are
    known = {"raw": raw[0], "ema": averages[0]} if raw else {"ema": averages[0]}
    first, last = (copies[[*known.values()][place]] for place in (0, -1))
    equal = _equal(source, first, last)
    return known[pick(source.path, source.wanted, known, equal=equal)]


def _equal(source: Checkpoint, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two copies of the network, by names in the file, are equal to the bit."""
    first, second = ({m: source.tensors[f] for m, f in copy.items()} for copy in (one, other))
    return same(first, second)


def tolerated(name: str, prefix: str, top: Iterable[str]) -> bool:
    """Return whether an extra tensor certainly takes no part in the predictions.

    Its name must say so: its first part has a word such as loss, criterion or metric, or its last
    part is a class weight or a count. Anything else could be a layer of another architecture, or a
    normalisation of the inputs, without which the predictions would differ.

    Args:
        name: the tensor's name in the file.
        prefix: prefix of the network's tensors in the file.
        top: first parts of the module's own names.
    """
    parts = name.removeprefix(prefix).split(".")
    if parts[-1] in COUNTERS:
        return True
    words = re.split(r"[_\d]*_|(?<=[a-z])(?=[A-Z])", parts[0])
    return parts[0] not in top and any(word.lower() in OF_LOSSES for word in words)


def _best(source: Checkpoint, expected: Mapping[str, Tensor]) -> Checkpoint:
    """Return the tensors by the names that fit best, so that the differences can be reported.

    If they fit completely, only some of the file's names had the prefix: a note says so.
    """
    counts = _prefixes({name: name for name in expected}, source.tensors)
    prefix = min(counts, key=lambda p: (-counts[p], len(p)), default="")
    names = {file.removeprefix(prefix): file for file in source.tensors}
    if len(names) < len(source.tensors):  # a name with the prefix, and the same one without
        prefix, names = "", {file: file for file in source.tensors}
    found = replace(
        source, tensors={name: source.tensors[file] for name, file in names.items()}, prefix=prefix
    )
    if names.keys() != expected.keys():
        return found
    notes = (*source.notes, *_notes(prefix, names, (), ()))
    return replace(found, names=names, prefix=_stripped(names), notes=notes)
