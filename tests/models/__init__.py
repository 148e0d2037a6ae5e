"""Tests of falw_cli.models."""
