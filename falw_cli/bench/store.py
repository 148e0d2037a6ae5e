"""Work folder of a bench: models and cells, stored by a digest of their dependencies."""

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
"""Version of the stored content; content of another version is recomputed."""


def digest(content: Any) -> str:
    """Return a short digest of JSON-compatible content."""
    text = json.dumps([__version__, LAYOUT, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Store:
    """The folder, with `lists`, `models`, `metrics`, `cells`, `shadows`, and the results."""

    folder: Path

    @property
    def mark(self) -> Path:
        """The file that records the version that created the folder."""
        return self.folder / "store.json"

    def open(self) -> str | None:
        """Create the folder; return a warning if another version created it.

        Raises:
            RequestError: the folder cannot be created, or contains other files.
        """
        mark = self.mark
        here = {"tool": f"falw {__version__}", "layout": LAYOUT}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not mark.exists() and any(self.folder.iterdir()):
                raise RequestError(
                    f"{self.folder} contains other files",
                    "name an empty folder with --out (bench) or --folder (audit)",
                )
            for part in ("lists", "models", "metrics", "cells", "shadows"):
                (self.folder / part).mkdir(exist_ok=True)
            there = json.loads(mark.read_text()) if mark.exists() else here
        except (OSError, ValueError) as error:
            raise RequestError(
                f"{self.folder} cannot be used: {error}",
                "name another folder with --out (bench) or --folder (audit)",
            ) from error
        write_all({mark: json.dumps(here).encode()})
        if there == here:
            return None
        made = there.get("tool", "another tool") if isinstance(there, dict) else "another tool"
        return f"{self.folder} was created by {made}: its models and cells are recomputed"

    def file(self, part: str, name: str, suffix: str) -> Path:
        """Return the path of a file in the store."""
        return self.folder / part / f"{name}{suffix}"

    def load(self, part: str, name: str, suffix: str = ".json") -> dict[str, Any] | None:
        """Return the stored JSON, or None."""
        file = self.file(part, name, suffix)
        if not file.exists():
            return None
        content: dict[str, Any] = json.loads(file.read_text())
        return content

    def save(self, part: str, name: str, content: Any, suffix: str = ".json") -> None:
        """Store JSON atomically."""
        write_all({self.file(part, name, suffix): json.dumps(content, indent=1).encode()})
