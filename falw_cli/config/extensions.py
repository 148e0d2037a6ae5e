"""Extension points: packages in which one module adds a method, weighting, source or format.

A module is imported only when it is used, so that the command line can list and complete names
without loading torch.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any


class Extensions(Mapping[str, str]):
    """{name: dotted module} of a package's modules; `boundary_shrink.py` is `boundary-shrink`."""

    def __init__(self, package: str, separator: str = "-") -> None:
        """Args: package, its dotted name (only its parents are imported); separator of words."""
        self.package, self.separator = package, separator

    def __getitem__(self, name: str) -> str:
        if name not in tuple(self):
            raise KeyError(name)
        return f"{self.package}.{name.replace(self.separator, '_')}"

    def __iter__(self) -> Iterator[str]:
        return (module.replace("_", self.separator) for module in self._modules())

    def __len__(self) -> int:
        return len(self._modules())

    def load(self, name: str) -> Any:
        """Return the module of a name."""
        return import_module(self[name])

    def _modules(self) -> list[str]:
        spec = find_spec(self.package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        return sorted(one.name for one in pkgutil.iter_modules(spec.submodule_search_locations))


METHODS = Extensions("falw_cli.unlearning.methods")
WEIGHTINGS = Extensions("falw_cli.unlearning.weighting")
SOURCES = Extensions("falw_cli.data.sources")
FORMATS = Extensions("falw_cli.models.formats")
METRICS = Extensions("falw_cli.evaluation.gap_metrics", separator="_")
