"""The version of falw."""

__version__ = "0.1.0"
