"""In which order searches are carried out; that they are is seen in ``test_run.py``."""

from search.comparison.execution import spread_out
from search.comparison.plan import plan_runs


def test_different_dense_networks_come_first() -> None:
    variants = {"cmaes": ("strategy=cmaes",), "short": ("network.time_steps=2",)}
    planned = plan_runs(["strategy=random"], variants, targets=[0.7, 0.5], seeds=[4, 2])
    order = [(each.variant, each.target, each.seed) for each in spread_out(planned)]
    assert order[:4] == [("cmaes", 0.7, 4), ("short", 0.7, 4), ("cmaes", 0.7, 2), ("short", 0.7, 2)]
    assert order[4:] == [("cmaes", 0.5, 4), ("short", 0.5, 4), ("cmaes", 0.5, 2), ("short", 0.5, 2)]
