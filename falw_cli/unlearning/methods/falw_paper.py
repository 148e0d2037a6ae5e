"""FaLW as published: Algorithm 1 of FaLW (ICLR 2026, arXiv 2601.18650).

Random labels, the weighting `falw`, mu and sigma re-estimated on all held-out data at every step, a
fixed number of epochs: 10, common in the field, since the paper states none. The paper searches the
learning rate with a Retrain model. Without one, the rate is searched by the estimated gap.
"""

from __future__ import annotations

from falw_cli.unlearning.methods.random_label import RandomLabel


class FalwPaper(RandomLabel):
    """Random labels with the fixed settings of the paper: other values are an error."""

    search_from = 0.03
    defaults = {"lr": "auto", "epochs": 10}
    fixed = {
        "weighting": "falw", "target": "exact", "target_every": 1, "stop": "epochs",
        "forget_share": None,
    }  # fmt: skip


method = FalwPaper
