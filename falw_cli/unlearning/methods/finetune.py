"""Fine-tuning (FT): continue training on the retain set, so that the model forgets the rest.

Warnecke et al., "Machine Unlearning of Features and Labels" (NDSS 2023); Golatkar et al., "Eternal
Sunshine of the Spotless Net" (CVPR 2020).
"""

from __future__ import annotations

from falw_cli.unlearning.interfaces import Method


class Finetune(Method):
    """Cross-entropy on the retain set alone; there is no forget loss to weight."""

    uses_forget = False
    weightable = False
    defaults = {"lr": 0.2, "epochs": 5}


method = Finetune
