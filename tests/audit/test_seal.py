"""The digest of a report."""

from __future__ import annotations

import hashlib
import json

import pytest

from falw_cli.audit.seal import digest, text_of, to_text
from tests.audit.reports import report, with_share


def test_the_digest_is_that_of_the_compact_json_in_field_order() -> None:
    made = with_share(report())
    compact = made.model_copy(update={"digest": None}).model_dump_json()
    assert made.digest == hashlib.sha256(compact.encode()).hexdigest()
    assert to_text(made) == made.model_dump_json(indent=2) + "\n"


def test_the_digest_depends_on_the_keys_of_the_file_alone() -> None:
    content = json.loads(to_text(report()))
    assert digest(content) == content["digest"]
    assert text_of(content) == to_text(report())
    del content["robustness"]
    older = digest(content)
    assert older != report().digest
    assert digest({**content, "digest": older}) == older


def test_text_that_is_not_unicode_has_no_digest() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        digest({"command": ["\ud800"]})
