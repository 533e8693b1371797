"""How many evaluations are called enough, from outcomes made by hand."""

from search.ablations.variants import EVALUATIONS
from tests.search.ablations.made import made
from tests.search.comparison.outcomes import outcome


def test_evaluations_are_enough_where_little_is_left_to_gain() -> None:
    gained = {10: 0.8, 25: 0.89, 50: 0.897, 100: 0.899, 200: 0.9, 400: 0.9}
    outcomes = [
        outcome(
            f"{strategy} {count}",
            seed,
            best + 0.001 * seed + (0.01 * count / 400 if strategy == "ddpg" else 0.0),
            evaluations=count,
        )
        for strategy in ("random", "ddpg")
        for count, best in gained.items()
        for seed in range(3)
    ]
    finding = EVALUATIONS.conclude(made(outcomes))
    assert "random: 50 (the gain of 400 is +0.30 [" in finding.conclusion
    assert "ddpg: no fewer than 400 are shown to be enough" in finding.conclusion
    assert list(finding.figure.data[0].x) == list(gained)


def test_evaluations_are_enough_only_where_no_longer_search_gains() -> None:
    """By luck ten are within half a point of 400, and 25 to 200 are not."""
    gained = {10: 0.897, 25: 0.85, 50: 0.86, 100: 0.87, 200: 0.88, 400: 0.9}
    outcomes = [
        outcome(f"random {count}", s, best + 0.001 * s, evaluations=count)
        for count, best in gained.items()
        for s in range(3)
    ]
    assert "random: no fewer than 400" in EVALUATIONS.conclude(made(outcomes)).conclusion


def test_a_search_that_ended_by_itself_gains_nothing_from_more() -> None:
    """All seeds of CMA-ES end after 160: those that were allowed 200 and 400 are one search."""
    gained = {10: 0.8, 25: 0.85, 50: 0.86, 100: 0.87, 200: 0.9, 400: 0.9}
    outcomes = [
        outcome(f"cmaes {count}", seed, best + 0.001 * seed, evaluations=min(count, 160))
        for count, best in gained.items()
        for seed in range(3)
    ]
    (said,) = EVALUATIONS.further(made(outcomes))
    assert said == (
        "Enough, with less than 0.5 points to gain: cmaes: no fewer than the 160 ± 0 after which it ends by itself are "
        "shown to be enough."
    )
