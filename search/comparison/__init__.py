"""Several searches side by side: planned, carried out, read back, and told apart by statistics."""
