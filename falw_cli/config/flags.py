"""How a setting is used outside the config: on the command line, in a file, in a saved state."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from pydantic.fields import FieldInfo

Panel = Literal["Data", "Training", "Run", "Output", "Options"]


@dataclass(frozen=True)
class Flag:
    """Metadata of a field: `Annotated[int, Flag("Run")]`.

    The command line, completion, the reference pages, the rules for files and the identity of a
    saved state depend on it; type, default, bounds and help text are those of the field.
    """

    panel: Panel | None = None
    """Group of the option in `--help`; None: no option, the setting is for files only."""
    name: str | None = None
    """Default: the field's name with dashes, e.g. `retain-budget`."""
    argument: bool = False
    """Whether it is a positional argument."""
    environment: bool = True
    """Whether `FALW_NAME` sets it."""
    choices: Collection[str] = ()
    """Names that completion offers, listed in the help text."""
    offers: str | None = None
    """Other values that completion offers; see `cli.completion.OFFERS`."""
    as_text: bool = False
    """Whether the option is a single string, whatever the type of the setting."""
    in_file: bool = True
    """Whether falw.yaml may set it; that file may come with an untrusted model."""
    names: Literal["path", "data", "paths"] | None = None
    """What the setting names: a path in a file is relative to that file."""
    of_run: bool = True
    """Whether the steps of a run depend on it; a saved state needs equal values."""


def flag_of(field: FieldInfo) -> Flag:
    """Return the metadata of a field; the default for a field without any."""
    return next((one for one in field.metadata if isinstance(one, Flag)), Flag())
