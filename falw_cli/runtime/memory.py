"""Memory of this process."""

from __future__ import annotations

import sys

import psutil


def peak_memory() -> int:
    """Return the most memory that this process has had in use at once, in bytes.

    Where the system keeps no peak, it is the memory in use now.
    """
    try:
        import resource  # Windows has none
    except ImportError:
        now = psutil.Process().memory_info()
        return int(getattr(now, "peak_wset", now.rss))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
