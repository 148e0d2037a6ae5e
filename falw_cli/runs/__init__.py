"""The work of each command: open the inputs, run, measure, write the report."""
