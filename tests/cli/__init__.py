"""Tests of falw_cli.cli."""
