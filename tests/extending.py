"""A module added to a package of extensions, as one more file in its folder would be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def added(package: ModuleType, name: str, text: str, folder: Path) -> Iterator[None]:
    """Add the module `name` with this source text, written to an own folder, and remove it."""
    home = folder / f"added-{name}"
    home.mkdir()
    (home / f"{name}.py").write_text(text)
    package.__path__.append(str(home))
    try:
        yield
    finally:
        package.__path__.remove(str(home))
        if sys.modules.pop(f"{package.__name__}.{name}", None):
            delattr(package, name)
