"""The forgotten share on a scale, as inline SVG with classes that the page's style colours."""

from __future__ import annotations

from falw_cli.evaluation.forgotten import BEYOND, HALF
from falw_cli.evaluation.metrics import Figure

WIDTH, EDGE, END = 400.0, 10.0, 200.0
"""Width and margin of the drawing; percent at the end of the scale."""
LABELS = ((0, "start", "unchanged"), (100, "middle", "as expected"), (200, "end", "200 %"))


def gauge(share: Figure) -> str:
    """Return the drawing: the zone that counts as forgotten, the interval, and the value."""
    zone, low, high = _x(HALF), _x(share.lower), _x(share.upper)
    parts = [
        f'<rect class="zone" x="{zone:.1f}" y="6" width="{_x(BEYOND) - zone:.1f}" height="24"/>',
        f'<path class="scale" d="M{_x(0):.1f} 18H{_x(END):.1f}"/>',
        f'<path class="scale" d="M{_x(100):.1f} 6V30"/>',
        f'<path class="interval" d="M{low:.1f} 18H{max(high, low + 1):.1f}"/>',
        f'<circle class="value" cx="{_x(share.value):.1f}" cy="18" r="7"/>',
    ]
    parts += [
        f'<text x="{_x(place):.1f}" y="46" text-anchor="{side}">{text}</text>'
        for place, side, text in LABELS
    ]
    return (
        f'<svg class="gauge" viewBox="0 0 {WIDTH:.0f} 50" aria-hidden="true" focusable="false">'
        f"{''.join(parts)}</svg>"
    )


def _x(percent: float) -> float:
    """Return the place of a share; values outside the scale are drawn at its ends."""
    return EDGE + (WIDTH - 2 * EDGE) * min(max(percent, 0.0), END) / END
