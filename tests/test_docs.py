"""The code in docs/python.md runs as it stands, block after block."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.test_embedded import LIST, memorised, parts  # noqa: F401 (a fixture)

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.slow
def test_blocks_of_the_python_page(
    project: Path,
    memorised: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    seen, unseen, judges = parts()
    known = {"model": memorised, "seen": seen, "unseen": unseen, "judges": judges, "rows": LIST}
    monkeypatch.chdir(project)
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), known)
