"""What each command does: settle the config, call the room that does the work, show the result.

Rooms are imported after the config is settled: a mistyped flag need not wait for torch.
"""
