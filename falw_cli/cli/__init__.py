"""The command line: settings and entry point of each command."""
