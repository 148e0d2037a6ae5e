"""Data sources, one module per KIND of `--data KIND:LOCATION`; see `falw_cli.data.opening`."""
