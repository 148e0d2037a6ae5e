"""Settings: their types and defaults, the config file, and how both are merged."""
