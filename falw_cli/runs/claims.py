"""Comparison of what a report claims with what its files say and what was measured again."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from falw_cli.audit import gates
from falw_cli.audit.build import forget_section
from falw_cli.audit.gate_result import GateResult
from falw_cli.audit.gates import Gate
from falw_cli.audit.report import Inputs as InputsSection
from falw_cli.audit.report import Report
from falw_cli.audit.verdict import NO_SHARE
from falw_cli.evaluation.metrics import Pairs
from falw_cli.models.checkpoint import Metadata
from falw_cli.models.inputs import Inputs
from falw_cli.version import __version__

SAME = 1e-4
"""Tolerance for figures that are measured again, since other machines sum in another order: of
figures in [0, 1], 100 times as much of percentages, and relative for larger figures, as the upper
end of a forgotten share can be."""
IN_UNIT_INTERVAL = re.compile(r"probability|p_value|^pairs\.|\.distance\.|\.mia\.(?!.*tpr_at)")
"""Names of figures in [0, 1]; the others are percentages, or differences of percentages."""
UNKNOWN = (
    "command", "environment", "run", "target", "weights", "warnings", "per_sample", "earlier",
    "comeback", "robustness", "corrections",
)  # fmt: skip
"""Sections of a report that `verify --rerun` does not compare, or only in part."""


def listed(off: Sequence[str]) -> str | None:
    """Return the first differences as one text; None without any."""
    more = f" (and {len(off) - 3} more)" if len(off) > 3 else ""
    return "; ".join(off[:3]) + more or None


def is_complete(report: Report) -> bool:
    """Return whether the report had all keys of this version when it was written."""
    return report.tool.version == __version__


def not_checked(report: Report, lacking: Sequence[str]) -> str:
    """Return which entries of the report no measurement can confirm.

    Args: lacking, the figures that a report of another version does not have.
    """
    known = [name for name in UNKNOWN if getattr(report, name)]
    text = f"which gates were asked for; {', '.join(known)}"
    if lacking:
        text += f"; what this report of falw {report.tool.version} lacks: {listed(lacking)}"
    return text


def pairs_differ(content: dict[str, Any], found: Pairs | None, *, complete: bool) -> list[str]:
    """Compare the pairs; other machines may sort them otherwise, so each column is compared."""

    def columns(pairs: Any) -> Any:
        return {name: sorted(one) for name, one in pairs.items()} if pairs else None

    claimed = {"pairs": columns(content["pairs"])} if "pairs" in content else {"other": None}
    again = {"other": None, "pairs": columns(found.model_dump() if found else None)}
    return differences(claimed, again, complete=complete)


def sections_missing(report: Report) -> list[str]:
    """Return the sections that config or command ask for and that the report does not have."""
    if not is_complete(report) or not report.forget.count:
        return []
    asked = {"comeback": "relearn", "robustness": "robustness", "corrections": "correct"}
    wanted = [name for name, option in asked.items() if report.config.get(option)]
    wanted += ["per_sample"] if report.command[1:2] == ["audit"] else []
    return [f"{name} is not in the report" for name in wanted if getattr(report, name) is None]


def metadata_differs(
    claimed: dict[str, Any], found: dict[str, Any], *, complete: bool
) -> list[str]:
    """Compare what the checkpoints' metadata say with the report; see `differences`."""
    return [
        f"{name}.{key} is {known[key]}, the report says {said.get(key)}"
        for name in ("model", "original")
        if (known := found[name]) and (said := claimed.get(name))
        for key in ("unlearned", "names_list", "runs_back")
        if key in known and (complete or key in said) and known[key] != said.get(key)
    ]


def output_differs(report: Report, said: Metadata | None) -> list[str]:
    """Compare the recipe and the inputs of the run with the metadata of what it wrote.

    Args: said, the metadata of the written checkpoint, if it has any.
    """
    if said is None or said.unlearned is None:
        return []
    claimed = {**report.config.get("unlearn", {}), "seed": report.config.get("seed")}
    claimed["lr"] = report.run.lr if report.run else None
    off = [
        f"the output's {key} is {value}, the report says {claimed[key]}"
        for key, value in said.unlearned.items()
        if key in claimed and claimed[key] is not None and value != claimed[key]
    ]
    parent = said.chain[-1] if said.chain else None
    if parent and parent.sha256 != report.inputs.model.sha256:
        off.append(f"the output was made from {parent.sha256[:12]}…, which is not the model")
    return off


def counts_differ(content: dict[str, Any], inputs: Inputs, *, complete: bool) -> list[str]:
    """Compare the counts of the list and of the data, and what the model was made from."""
    described = InputsSection.model_validate(inputs.described).model_dump(mode="json")
    found = {"inputs": described, "forget": forget_section(inputs).model_dump(mode="json")}
    elsewhere = (
        ".path",
        ".spec",
        ".unlearned",
        ".names_list",
        ".runs_back",
    )  # names, and what other checks compare
    claimed = {name: content[name] for name in found}
    return differences(claimed, found, elsewhere, complete=complete)


def warnings_differ(report: Report, found: Sequence[str]) -> list[str]:
    """Compare the warnings that the audit itself gives; other versions have other sentences."""
    if not is_complete(report):
        return []
    off = [f"not in the report: {text}" for text in found if text not in report.warnings]
    claimed = [text for text in report.warnings if text.startswith(NO_SHARE)]
    return off + [f"not true: {text}" for text in claimed if text not in found]


def wanted_gates(report: Report) -> list[str]:
    """Return the gates that the config asks for, and the built-in ones of `falw unlearn`."""
    wanted, after = list(report.config.get("gate") or ()), report.metrics.after
    if report.run and report.config.get("forgotten_gate"):
        wanted += [gates.FORGOTTEN.expression] if after and after.forgotten_share else []
        wanted += [gates.READABLE.expression] if report.forget.unreadable else []
    return wanted


def gates_differ(
    wanted: Sequence[Gate], claimed: Sequence[GateResult], found: Sequence[GateResult]
) -> Iterator[str]:
    """Compare the results of the gates; yield the differences as text."""
    known = {one.expression: one for one in claimed}
    for gate, one in zip(wanted, found, strict=True):
        said = known.get(one.expression)
        if said is None:
            yield f"gate {one.expression} is not in the report"
        elif not _same(one.value, said.value, ".".join(gate.path)):
            yield f"gate {one.expression} is {one.shown}, the report says {said.shown}"
        elif said.passed != gate.holds(said.value):
            yield f"gate {one.expression} does not follow from its value, {said.shown}"


def differences(
    claimed: Any, found: Any, without: tuple[str, ...] = (), *, complete: bool
) -> list[str]:
    """Compare each figure that the report has; return the differences as text.

    A figure or section that is null or empty in the report has no value in `found` either.

    Args:
        claimed: a section of the report.
        found: the same section, measured again.
        without: endings of names that are left out.
        complete: whether the report must have each key that has a value in `found`.
    """
    again = dict(_leaves(found))
    parents = {name[:place] for name in again for place in range(len(name)) if name[place] == "."}
    off = [
        f"{name} is {again.get(name, 'not empty' if name in parents else 'empty')}, "
        f"the report says {value}"
        for name, value in _leaves(claimed)
        if not name.endswith(without)
        if not _same(again.get(name), value, name)
        or (not isinstance(value, float) and name in parents)
    ]
    names = missing(claimed, found) if complete else ()
    return off + [f"{name} is not in the report" for name in names if not name.endswith(without)]


def missing(claimed: Any, found: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of each key that has a value in `found` and is not in the report."""
    if isinstance(claimed, list) and isinstance(found, list):
        for number, (one, other) in enumerate(zip(claimed, found, strict=False)):
            yield from missing(one, other, f"{prefix}.{number}")
    if not (isinstance(claimed, dict) and isinstance(found, dict)) or not claimed:
        return  # another value, or an empty section, is a difference already
    for key, value in found.items():
        name = f"{prefix}.{key}" if prefix else key
        if key in claimed:
            yield from missing(claimed[key], value, name)
        elif value not in (None, {}, []):
            yield name


def _leaves(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted name and value of every entry of a report."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else key)
        if prefix.endswith("per_class"):
            yield f"{prefix} (entries)", len(content)
    elif isinstance(content, list) and content:
        yield f"{prefix} (entries)", len(content)
        for number, value in enumerate(content):
            yield from _leaves(value, f"{prefix}.{number}")
    else:
        yield prefix, content


def _same(found: Any, claimed: Any, name: str) -> bool:
    if isinstance(found, float) and isinstance(claimed, float):
        most = SAME if IN_UNIT_INTERVAL.search(name) else 100 * SAME
        return math.isclose(found, claimed, rel_tol=SAME, abs_tol=most)
    return bool(found == claimed)
