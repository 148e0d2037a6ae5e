"""One module per command: which settings it takes, what it calls, and what it prints.

`cli.app` imports the module of the command that is called, and the command imports the work when it
has read its settings: neither `falw --help` nor a mistyped flag waits for torch.
"""

COMMANDS = {
    "unlearn": (
        "Remove the influence of a list of samples: write the checkpoint and its audit report."
    ),
    "evaluate": (
        "Measure a checkpoint on forget, retain and test data; with --gate, a verdict for CI."
    ),
    "audit": ("Measure what evaluate does, and attack each sample with models trained for it."),
    "train": "Train a checkpoint; with --without IDS, the retrained reference model.",
    "forget-list": (
        "Draw a long-tailed list of sample IDs onto stdout, or check those that are named."
    ),
    "inspect": (
        "Show what a checkpoint, a data source, a forget list or a report holds; change nothing."
    ),
    "convert": (
        "Write a checkpoint in another format: .safetensors, .pt, a timm or transformers folder."
    ),
    "init": "Write a commented falw.yaml, from what the model and the data hold.",
    "doctor": ("Check installation, machine and config; exit code 1 if there is a problem."),
    "bench": ("Measure methods x weightings over lists and seeds against retrained models."),
    "verify": (
        "Compare model, list, data and output with a report; exit code 1 where they differ."
    ),
    "report": (
        "Write a page that people read, of one audit report or of several; needs no network."
    ),
    "schema": "Print the JSON schema of audit reports.",
    "demo": (
        "Train, unlearn and audit on scikit-learn's digits, in ./falw-demo, in under two minutes."
    ),
}
"""Help text of each command, in the order of `falw --help`; `forget-list` is `forget_list.py`."""
