"""Networks: checkpoints of several formats, architectures, and a network on its device."""
