"""The process around a run: ranks, devices, files, progress, optional dependencies."""
