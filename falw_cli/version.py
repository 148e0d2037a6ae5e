"""The version of falw."""

__version__ = "0.2.0"
