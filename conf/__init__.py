"""Hydra configuration: YAML groups beside the typed dataclasses of :mod:`conf.schema`."""
