"""Data: sources of images and labels, the forget list, the splits, the batches."""
