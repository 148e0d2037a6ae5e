"""Tests of falw_cli.config."""
