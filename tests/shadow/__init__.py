"""Tests of falw_cli.shadow."""
