"""Tests of falw_cli.runtime."""
