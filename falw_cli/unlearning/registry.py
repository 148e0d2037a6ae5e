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
    "match": "falw_cli.unlearning.methods.match",
    "falw-paper": "falw_cli.unlearning.methods.falw_paper",
    "random-label": "falw_cli.unlearning.methods.random_label",
    "salun": "falw_cli.unlearning.methods.salun",
    "sfron": "falw_cli.unlearning.methods.sfron",
    "scrub": "falw_cli.unlearning.methods.scrub",
    "bad-teacher": "falw_cli.unlearning.methods.bad_teacher",
    "neggrad-plus": "falw_cli.unlearning.methods.neggrad_plus",
    "gradient-ascent": "falw_cli.unlearning.methods.gradient_ascent",
    "boundary-shrink": "falw_cli.unlearning.methods.boundary_shrink",
    "boundary-expand": "falw_cli.unlearning.methods.boundary_expand",
    "finetune": "falw_cli.unlearning.methods.finetune",
    "l1-sparse": "falw_cli.unlearning.methods.l1_sparse",
    "regun": "falw_cli.unlearning.methods.regun",
    "lotus": "falw_cli.unlearning.methods.lotus",
    "amun": "falw_cli.unlearning.methods.amun",
    "influence": "falw_cli.unlearning.methods.influence",
}

WEIGHTINGS = {
    "falw": "falw_cli.unlearning.weighting.falw",
    "falw-quantile": "falw_cli.unlearning.weighting.falw_quantile",
    "class-balanced": "falw_cli.unlearning.weighting.class_balanced",
    "inverse-frequency": "falw_cli.unlearning.weighting.inverse_frequency",
    "satimp": "falw_cli.unlearning.weighting.satimp",
    "confidence-aware": "falw_cli.unlearning.weighting.confidence_aware",
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
