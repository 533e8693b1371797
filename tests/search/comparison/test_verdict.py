"""What a comparison says of itself, from outcomes made by hand."""

from search.comparison.verdict import verdict
from tests.search.comparison.outcomes import outcome
from tests.search.comparison.test_summary import made


def test_better_or_worse_where_the_corrected_test_says_so() -> None:
    outcomes = [outcome("plain", seed, 0.5 + 0.01 * seed) for seed in range(8)]
    outcomes += [outcome("good", seed, 0.6 + 0.011 * seed) for seed in range(8)]
    outcomes += [outcome("bad", seed, 0.4 + 0.011 * seed, met=seed > 0) for seed in range(8)]
    outcomes += [outcome("alike", seed, 0.5 + 0.01 * seed + 0.02 * (-1) ** seed) for seed in range(8)]
    text = verdict(made(outcomes, reference="plain"))
    assert "better than plain: good (+10.35 [" in text
    assert "worse than plain: bad (-9.65 [" in text
    assert "no difference could be shown from plain: alike." in text
    assert "The budget was missed by bad (1 of 8)." in text
    assert "p = 0.0078" in text


def test_an_interval_alone_is_a_hint() -> None:
    """Four seeds cannot give p below 1/8."""
    outcomes = [outcome("plain", seed, 0.5 + 0.01 * seed) for seed in range(4)]
    outcomes += [outcome("good", seed, 0.6 + 0.011 * seed) for seed in range(4)]
    text = verdict(made(outcomes, reference="plain"))
    assert text.startswith(
        "By best validation accuracy, hints that the test does not confirm (95 % intervals leave 0 out) against plain: "
        "good (+10.15 ["
    )
    assert "no difference can be significant" in text


def test_equal_networks_are_no_interval() -> None:
    outcomes = [outcome("plain", seed, 0.5 + 0.01 * seed) for seed in range(3)]
    outcomes += [outcome("equal", seed, 0.5 + 0.01 * seed) for seed in range(3)]
    outcomes += [outcome("a step below", seed, 0.25 + 0.01 * seed) for seed in range(2)]  # an interval without width
    text = verdict(made(outcomes, reference="plain"))
    assert text.startswith("By best validation accuracy, the same with every seed as plain: equal. By best")
    assert "no difference could be shown from plain: a step below." in text


def test_a_strategy_that_loses_to_random_is_named() -> None:
    outcomes = [outcome("random", seed, 0.5 + 0.01 * seed) for seed in range(10)]
    outcomes += [outcome("ddpg", seed, 0.45 + 0.011 * seed) for seed in range(10)]
    text = verdict(made(outcomes))
    assert "By best validation accuracy, worse than random: ddpg (-4.55 [" in text
    assert "All results met the budget." in text


def test_each_budget_is_spoken_of() -> None:
    outcomes = [
        outcome(name, seed, level + 0.01 * seed, target=target)
        for target, level in ((0.7, 0.8), (0.3, 0.4))
        for name in ("random", "cmaes")
        for seed in range(3)
    ]
    text = verdict(made(outcomes))
    assert text.startswith(
        "Budget of 70 %: By best validation accuracy, the same with every seed as random: cmaes. All"
    )
    assert "Budget of 30 %: By best" in text


def test_without_a_reference_nothing_is_tested() -> None:
    text = verdict(made([outcome("cmaes", seed, 0.5) for seed in range(3)]))
    assert text.startswith("There is no reference")
    assert "seeds" not in text


def test_budgets_that_differ_little_are_told_apart() -> None:
    outcomes = [outcome(name, 0, 0.5, target=target) for target in (0.525, 0.52) for name in ("random", "cmaes")]
    text = verdict(made(outcomes))
    assert "Budget of 52.5 %:" in text
    assert "Budget of 52 %:" in text


def test_seeds_are_those_of_the_pairs_that_were_tested() -> None:
    outcomes = [outcome(name, s, 0.5 + 0.01 * s + (name == "ddpg")) for name in ("random", "ddpg") for s in range(10)]
    outcomes.append(outcome("cmaes", 0, 0.5))
    text = verdict(made(outcomes))
    assert "better than random: ddpg" in text
    assert "With 10 seeds" in text
    half = [outcome("random", s, 0.5) for s in range(6)] + [outcome("ddpg", s, 0.5 + 0.01 * s) for s in range(4, 10)]
    assert "With 2 seeds" in verdict(made(half))


def test_a_single_strategy_is_not_tested() -> None:
    assert verdict(made([outcome("random", 0, 0.5)])).endswith("All results met the budget. There is nothing to test.")


def test_variants_with_fewer_seeds_than_the_others_are_named() -> None:
    outcomes = [outcome(name, seed, 0.5 + 0.01 * seed) for name in ("random", "cmaes", "uniform") for seed in range(3)]
    assert "Fewer seeds" not in verdict(made(outcomes))
    text = verdict(made(outcomes[:-1]))
    assert "With 3 seeds" in text
    assert text.endswith("Fewer seeds, and a higher least p, have: uniform (2).")
