"""A report's digest: it reveals any change, unless the digest is recomputed too.

Protection against forgery needs a signature by a separate tool (docs/evidence.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter

from falw_cli.audit.report import Report

CONTENT: TypeAdapter[Mapping[str, Any]] = TypeAdapter(Mapping[str, Any])


def seal(report: Report) -> Report:
    """Return the report with the digest of its other fields."""
    return report.model_copy(update={"digest": digest(report.model_dump(mode="json"))})


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a report's JSON without its digest, as compact JSON in its own order.

    It depends on the keys that the report has, not on those of this version: the digest of a report
    that an older version wrote stays the same.

    Raises:
        ValueError: a text is not valid Unicode.
    """
    return hashlib.sha256(CONTENT.dump_json({**content, "digest": None})).hexdigest()


def problem(content: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the digest of a report's JSON, or None.

    The file's own JSON is needed, which may have other keys than this version.
    """
    if content.get("digest") is None:
        return "has no digest: it was written by an older falw"
    with suppress(ValueError):
        if content["digest"] == digest(content):
            return None
    return "was changed after it was written"


def to_text(report: Report) -> str:
    """Return the report as the text of its file: the same text for the same content."""
    return text_of(report.model_dump(mode="json"))


def text_of(content: Mapping[str, Any]) -> str:
    """Return the text of the file for a report's JSON."""
    return CONTENT.dump_json(content, indent=2).decode() + "\n"
