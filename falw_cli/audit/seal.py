"""A report's own digest: no byte of it changes unseen, short of a forger who makes a new one.

Against forgers there are signatures, by tools made for them (docs/evidence.md).
"""

from __future__ import annotations

import hashlib

from falw_cli.audit.report import Report


def seal(report: Report) -> Report:
    """The report with the digest of everything else in it."""
    return report.model_copy(update={"digest": digest(report)})


def digest(report: Report) -> str:
    """SHA-256 of the report without its digest, as compact JSON in the order of its fields."""
    bare = report.model_copy(update={"digest": None})
    return hashlib.sha256(bare.model_dump_json().encode()).hexdigest()


def to_text(report: Report) -> str:
    """The report as a file holds it: the same text for the same content."""
    return report.model_dump_json(indent=2) + "\n"
