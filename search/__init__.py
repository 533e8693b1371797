"""Search channel keep ratios of a spiking network under a budget of synaptic operations."""
