"""A report's digest: it reveals any change, unless the digest is recomputed too.

Protection against forgery needs a signature by a separate tool (docs/evidence.md).
"""

from __future__ import annotations

import hashlib

from falw_cli.audit.report import Report


def seal(report: Report) -> Report:
    """Return the report with the digest of its other fields."""
    return report.model_copy(update={"digest": digest(report)})


def digest(report: Report) -> str:
    """Return the SHA-256 of the report without its digest, as compact JSON in field order."""
    bare = report.model_copy(update={"digest": None})
    return hashlib.sha256(bare.model_dump_json().encode()).hexdigest()


def to_text(report: Report) -> str:
    """Return the report as the text of its file: the same text for the same content."""
    return report.model_dump_json(indent=2) + "\n"
