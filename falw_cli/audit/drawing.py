"""Drawings as inline SVG: text and axes take the page's text colour."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from falw_cli.runtime.printable import printable

INK = "#010203"
"""Placeholder that is replaced by the page's text colour."""
BLUE, VERMILION, GREY = "#0072b2", "#d55e00", "#8a8f98"
COLOURS = {"before": GREY, "after": BLUE, "model": BLUE, "Retrain": VERMILION}
FORGET, UNSEEN = BLUE, VERMILION
PALETTE = (BLUE, VERMILION, "#009e73", "#cc79a7", GREY, "#8f6d00")
"""Colours of Okabe and Ito, which readers with any colour vision can distinguish, where they have
a contrast of at least 3 with a white and a black ground."""
STYLES = ("-", "--", "-.")
"""Line styles, so that no line depends on its colour alone."""
SIZE = (3.3, 2.4)
"""Inches: as wide as a phone's screen; a wider page has several pictures side by side. The page
enlarges a picture rather than reducing it, so that its text stays readable."""


@dataclass(frozen=True)
class Picture:
    """An SVG, its title, and a text description for readers who cannot see it."""

    title: str
    svg: str
    words: str


def short(name: str) -> str:
    """Shorten a class name to fit below an axis, and escape `$`, which would begin a formula."""
    plain = printable(name).replace("$", r"\$")
    return plain if len(plain) <= 12 else f"{plain[:11]}…"


@contextmanager
def canvas(size: tuple[float, float] = SIZE) -> Iterator[tuple[Any, io.StringIO]]:
    """Yield axes and the buffer their SVG is written to; matplotlib's global state is unchanged."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
        "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
        "font.size": 9, "legend.frameon": False, "svg.fonttype": "path", "svg.hashsalt": "falw",
        "axes.formatter.use_mathtext": True,
    }  # fmt: skip
    with mpl.rc_context(style):
        figure, out = Figure(figsize=size, layout="constrained"), io.StringIO()
        yield figure.subplots(), out
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})


def svg(out: io.StringIO, name: str) -> str:
    """Return the SVG element with unique IDs and with the page's text colour for INK."""
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    opening = text[: text.index(">") + 1]
    sized = re.sub(r'(width|height)="[\d.]+pt"', "", opening, count=2)
    # Class names cannot inject markup: matplotlib writes them only in comments, removed above.
    sized = sized.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
    return (sized + text[len(opening) :]).replace(INK, "currentColor")
