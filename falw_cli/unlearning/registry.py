"""The classes of base methods and weightings, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from falw_cli.config.extensions import METHODS, WEIGHTINGS

if TYPE_CHECKING:
    from falw_cli.unlearning.interfaces import Method, Weighting


def load_method(name: str) -> type[Method]:
    """Return the class of the base method `name`, a key of METHODS."""
    method: type[Method] = METHODS.load(name).method
    return method


def load_weighting(name: str) -> type[Weighting]:
    """Return the class of the weighting `name`, a key of WEIGHTINGS."""
    weighting: type[Weighting] = WEIGHTINGS.load(name).weighting
    return weighting
