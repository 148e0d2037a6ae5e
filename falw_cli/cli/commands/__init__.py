"""One module per command: its settings, the function it calls, and its output.

Imports inside the function let a mistyped flag be reported without waiting for torch.
"""
