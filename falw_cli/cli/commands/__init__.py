"""One module per command: its settings, the function it calls, and its output.

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
    "audit": "Evaluate a checkpoint, and attack each sample with shadow models.",
    "train": "Train a checkpoint; with --without IDS, the retrained reference model.",
    "forget-list": (
        "Print a list of sample IDs: drawn, selected or checked; and propose near-duplicates."
    ),
    "inspect": "Show the contents of a checkpoint, a data source, a forget list or a report.",
    "convert": (
        "Write a checkpoint in another format: .safetensors, .pt, a timm or transformers folder."
    ),
    "init": "Write a commented falw.yaml for a model and its data.",
    "doctor": ("Check installation, machine and config; exit code 1 if there is a problem."),
    "bench": "Compare methods and weightings with retrained models, over lists and seeds.",
    "verify": "Compare model, list, data and output with a report; exit code 1 if they differ.",
    "report": "Write a readable page of one or more audit reports; works offline.",
    "schema": "Print the JSON schema of audit reports.",
    "demo": (
        "Train, unlearn and audit on small data, without a download, in ./falw-demo; a minute."
    ),
}
"""Help text of each command, in the order of `falw --help`; `forget-list` is `forget_list.py`."""
