"""Each form on data of its own kind, which it must predict exactly, or nearly."""

import numpy as np
import pytest

from search.forms import FORMS
from search.forms import Floats
from search.forms import Known

RANDOM = np.random.default_rng(0)
COUNT = 40


def known(count: int = COUNT, low: float = 0.3, high: float = 0.7) -> Known:
    """Candidates whose SynOps are the sum of three layers'."""
    shares_NL = RANDOM.dirichlet([4.0, 4.0, 4.0], count)
    pre_N = RANDOM.uniform(low, high, count)
    return Known(pre_N, shares_NL * pre_N[:, None], RANDOM.uniform(0.2, 0.9, count))


def truth(name: str, candidates: Known) -> Floats:
    weights_L = np.array([0.7, 1.1, 0.9])
    functions = {
        "identity": candidates.pre_N,
        "ratio": 0.9 * candidates.pre_N,
        "linear": 0.9 * candidates.pre_N + 0.05,
        "log-linear": 1.1 * candidates.pre_N**1.3,
        "two-feature": 0.9 * candidates.pre_N + 0.1 * candidates.macs_N + 0.02,
        "per-layer": candidates.layers_NL @ weights_L + 0.03,
        "GP": 0.5 + 0.1 * np.sin(6.0 * candidates.pre_N),
        "MLP": candidates.layers_NL @ weights_L,
        "isotonic": np.round(candidates.pre_N, 1),
    }
    found: Floats = np.asarray(functions[name])
    return found


@pytest.mark.parametrize("name", FORMS)
def test_a_form_predicts_data_of_its_kind(name: str) -> None:
    given, asked = known(), known(20, 0.35, 0.65)
    predicted = FORMS[name](given, truth(name, given), asked)
    assert predicted.shape == (20,)
    near = {"GP": 0.01, "MLP": 0.01, "isotonic": 0.05, "per-layer": 1e-4}.get(name, 1e-9)
    assert np.abs(predicted - truth(name, asked)).mean() < near


@pytest.mark.parametrize("name", sorted(set(FORMS) - {"identity", "ratio", "linear", "isotonic"}))
def test_a_form_beats_the_line_on_data_of_its_kind(name: str) -> None:
    given, asked = known(), known(20, 0.35, 0.65)
    error = np.abs(FORMS[name](given, truth(name, given), asked) - truth(name, asked)).mean()
    assert error < np.abs(FORMS["linear"](given, truth(name, given), asked) - truth(name, asked)).mean()


@pytest.mark.parametrize("name", FORMS)
def test_a_form_predicts_the_same_again(name: str) -> None:
    given, asked = known(), known(5)
    first, again = (FORMS[name](given, truth("linear", given), asked) for _ in range(2))
    assert np.array_equal(first, again)


def test_an_isotonic_prediction_never_falls() -> None:
    given = known()
    rising = Known(np.linspace(0.0, 1.0, 50), np.zeros((50, 3)), np.zeros(50))
    predicted = FORMS["isotonic"](given, given.pre_N + RANDOM.normal(0.0, 0.1, COUNT), rising)
    assert (np.diff(predicted) >= 0.0).all()
