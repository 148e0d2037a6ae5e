"""The command line: what each command takes, and one call each."""
