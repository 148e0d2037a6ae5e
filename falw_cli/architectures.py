"""The network that Python programs build: `from falw_cli.architectures import tiny_cnn`."""

from falw_cli.models.architectures import tiny_cnn

__all__ = ["tiny_cnn"]
