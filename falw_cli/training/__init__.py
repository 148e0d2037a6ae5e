"""Training: one recipe and one step loop for train, Retrain and unlearn."""
