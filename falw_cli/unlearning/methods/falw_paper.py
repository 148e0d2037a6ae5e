"""FaLW to the letter: Algorithm 1 of FaLW (ICLR 2026, arXiv 2601.18650).

Random labels, the weighting `falw`, mu and sigma re-estimated on all held-out data at every step, a
fixed number of epochs. The paper searches the learning rate with a Retrain model at hand; its
number of epochs is not published, 10 is the custom of this line of work. Without a retrained model
the rate is searched by the estimated gap.
"""

from __future__ import annotations

from falw_cli.unlearning.methods.random_label import RandomLabel


class FalwPaper(RandomLabel):
    """Random labels under the paper's fixed settings: asking for others is an error."""

    search_from = 0.03
    defaults = {"lr": "auto", "epochs": 10}
    fixed = {
        "weighting": "falw", "target": "exact", "target_every": 1, "stop": "epochs",
        "forget_share": None,
    }  # fmt: skip


method = FalwPaper
