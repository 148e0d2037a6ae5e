"""Audit: the report and its gates."""
