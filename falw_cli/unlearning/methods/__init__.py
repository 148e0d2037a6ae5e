"""Base methods, one file each; `load_method` of `interfaces.py` loads them by name."""
