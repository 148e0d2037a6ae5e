"""The metrics that the Avg. Gap can be made of, one small file each."""
