"""Tests of falw_cli.runs."""
