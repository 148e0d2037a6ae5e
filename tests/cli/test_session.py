"""The error handling of commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from falw_cli.cli.session import session


def test_a_path_that_is_too_long_is_a_wrong_request(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, session(quiet=False, verbose=0):
        Path("a" * 300).stat()
    assert ended.value.exit_code == 2
    said = capsys.readouterr().err
    assert "File name too long" in said
    assert "check the path" in said
