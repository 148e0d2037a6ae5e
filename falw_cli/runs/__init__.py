"""The work of each command: open what was asked for, run, measure, write the report."""
