"""The metrics available for the Avg. Gap, one file each."""
