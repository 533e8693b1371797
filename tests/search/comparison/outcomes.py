"""Outcomes made by hand."""

from typing import Any

from search.comparison.outcomes import SearchOutcome


def outcome(variant: str, seed: int, best: float, **changes: Any) -> SearchOutcome:
    """A search of four evaluations that found its best with the third."""
    parts: dict[str, Any] = {
        "variant": variant,
        "target": 0.5,
        "seed": seed,
        "run": f"{variant}-{seed}",
        "strategy": variant,
        "data": "digits",
        "network": "vgg_small",
        "time_steps": 4,
        "allowed": 4,
        "best": best,
        "curve": [0.0, 0.9 * best, best, best],
        "feasible": 1.0,
        "front": [(0.4, 0.5 * best), (0.5, best)],
        "test_accuracy": best + 0.05,
        "dense_test_accuracy": 0.95,
        "synops": 0.49,
        "violation": 0.0,
        "met": True,
        "tightened": 0,
        "operations": 0.6,
        "parameters": 0.3,
        "evaluations": 4,
        "trials": 5,
        "search_seconds": 20.0,
        "total_seconds": 60.0,
    }
    return SearchOutcome(**parts | changes)
