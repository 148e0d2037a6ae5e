"""The base methods and weightings by name. A new one is one file and one line here.

Each name stands for a module beside this file, imported only when it is used, so that the command
line can list and complete names without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from falw_cli.unlearning.interfaces import Method, Weighting

METHODS = {
    "finetune": "falw_cli.unlearning.methods.finetune",
    "gradient-ascent": "falw_cli.unlearning.methods.gradient_ascent",
    "random-label": "falw_cli.unlearning.methods.random_label",
}

WEIGHTINGS = {
    "falw": "falw_cli.unlearning.weighting.falw",
    "none": "falw_cli.unlearning.weighting.none",
}


def load_method(name: str) -> type[Method]:
    """The class of the base method `name`, a key of METHODS."""
    method: type[Method] = import_module(METHODS[name]).method
    return method


def load_weighting(name: str) -> type[Weighting]:
    """The class of the weighting `name`, a key of WEIGHTINGS."""
    weighting: type[Weighting] = import_module(WEIGHTINGS[name]).weighting
    return weighting
