"""Lightning data modules: digits, CIFAR. Knows nothing of networks, pruning or searching."""
