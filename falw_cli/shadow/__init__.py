"""Per-sample attacks, with models that were trained with and without the sample."""
