"""A bench's work folder: trained nets and cells by digest of all that they depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from falw_cli.errors import RequestError
from falw_cli.runtime.outputs import write_all
from falw_cli.version import __version__

LAYOUT = 1
"""Changes when what is kept means something else: an older folder is then made anew."""


def digest(content: Any) -> str:
    """A short digest of what JSON can hold."""
    text = json.dumps([__version__, LAYOUT, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Store:
    """The folder: `lists`, `models`, `metrics`, `cells`, `shadows`; results lie beside them."""

    folder: Path

    @property
    def mark(self) -> Path:
        """The file that says what made the folder."""
        return self.folder / "store.json"

    def open(self) -> str | None:
        """Make the folder; a text where it was made by another version, whose work is not used.

        Raises:
            RequestError: the folder cannot be made, or holds something else.
        """
        mark = self.mark
        here = {"tool": f"falw {__version__}", "layout": LAYOUT}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not mark.exists() and any(self.folder.iterdir()):
                raise RequestError(
                    f"{self.folder} holds something else", "name an empty folder with --out"
                )
            for part in ("lists", "models", "metrics", "cells", "shadows"):
                (self.folder / part).mkdir(exist_ok=True)
            there = json.loads(mark.read_text()) if mark.exists() else here
        except (OSError, ValueError) as error:
            raise RequestError(
                f"{self.folder} cannot be used: {error}", "name another folder with --out"
            ) from error
        write_all({mark: json.dumps(here).encode()})
        if there == here:
            return None
        made = there.get("tool", "another tool") if isinstance(there, dict) else "another tool"
        return f"{self.folder} was made by {made}: its nets and cells are made again"

    def file(self, part: str, name: str, suffix: str) -> Path:
        """A file of the store."""
        return self.folder / part / f"{name}{suffix}"

    def load(self, part: str, name: str, suffix: str = ".json") -> dict[str, Any] | None:
        """The JSON kept there, or None."""
        file = self.file(part, name, suffix)
        if not file.exists():
            return None
        content: dict[str, Any] = json.loads(file.read_text())
        return content

    def save(self, part: str, name: str, content: Any, suffix: str = ".json") -> None:
        """Keep JSON, whole or not at all."""
        write_all({self.file(part, name, suffix): json.dumps(content, indent=1).encode()})
