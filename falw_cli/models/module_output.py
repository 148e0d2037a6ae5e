"""Logits from the output of a module, which may be a tensor, a dictionary, a tuple or an object."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from falw_cli.errors import RequestError


def logits(output: object, classes: int | None = None) -> Tensor:
    """Return the logits [N, C]: the output, its entry `logits`, or the first of a tuple.

    GoogLeNet and Inception add auxiliary logits in train mode.

    Raises:
        RequestError: there are none, or the first of a tuple is not one output per class.
    """
    every = {"": output} if isinstance(output, Tensor) else _entries(output)
    entries = {where: one for where, one in every.items() if isinstance(one, Tensor)}
    place = next((one for one in ("", "['logits']", ".logits", "[0]") if one in entries), None)
    if place is None or entries[place].ndim != 2:
        raise _no_logits(output, entries)
    if place == "[0]" and classes not in (None, entries[place].shape[1]):
        raise _no_logits(output, entries)
    return entries[place]


def _entries(output: object) -> dict[str, object]:
    """Return what an output holds, by the code that reads it."""
    if isinstance(output, Mapping):
        return {f"[{key!r}]": one for key, one in output.items()}
    named = getattr(output, "_asdict", dict)() or getattr(output, "__dict__", {})
    listed = output if isinstance(output, tuple | list) else ()
    by_row = {f"[{row}]": one for row, one in enumerate(listed)}
    return {f".{name}": one for name, one in named.items()} if named else by_row


def _no_logits(output: object, entries: Mapping[str, Tensor]) -> RequestError:
    shapes = ", ".join(f"{where} {list(one.shape)}".strip() for where, one in entries.items())
    matrices = [where for where, one in entries.items() if one.ndim == 2]
    where, which = (
        (matrices[0], "") if len(matrices) == 1 else ("[KEY]", ", with the KEY of the logits")
    )
    hook = f"model.register_forward_hook(lambda module, inputs, output: output{where}){which}"
    return RequestError(
        f"the network returns {type(output).__name__}{shapes and f' ({shapes})'}, not logits "
        "[n, classes]",
        "wrap it in a module whose forward returns the logits alone"
        + (f", or keep them by {hook}" if matrices else ""),
    )
