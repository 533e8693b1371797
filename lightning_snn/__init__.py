"""Spiking networks under Lightning: train, measure synaptic operations, prune, save. Knows nothing of search."""

__version__ = "0.1.0"
