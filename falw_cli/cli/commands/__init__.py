"""One module per command: which settings it takes, what it calls, and what it prints.

The work is imported inside the function: a mistyped flag need not wait for torch.
"""
