"""Forms that a prediction of SynOps after fine-tuning may take: the line and its rivals.

All are fitted to, and predict, shares of the dense network's SynOps. A candidate is described by what is known of it
before fine-tuning: its SynOps in all, those of each layer, and its multiply-accumulates if all inputs were spikes.

    identity     post = pre
    ratio        post = c pre
    linear       post = a pre + b                                   SPEAR's LRE
    log-linear   log post = a log pre + b
    two-feature  post = a pre + b MACs + c
    per-layer    post = sum over layers of a_l pre_l + b            ridge, penalty by leave-one-out
    GP           Gaussian process on pre, squared exponential plus noise
    MLP          one hidden layer of 16 units on pre and the layers
    isotonic     any rising function of pre

Source: the line is SPEAR's (Xie et al., arXiv 2507.02945); which rivals, and their settings, are ours.
"""

import warnings
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is known of n candidates before fine-tuning."""

    pre_N: Floats
    layers_NL: Floats
    """SynOps of each layer, as shares of all SynOps of the dense network."""
    macs_N: Floats
    """Multiply-accumulates if every input were a spike, as shares of the dense network's."""

    def __getitem__(self, chosen: Any) -> "Known":
        """Return some of them."""
        return Known(self.pre_N[chosen], self.layers_NL[chosen], self.macs_N[chosen])


Form = Callable[[Known, Floats, Known], Floats]
"""(candidates, their SynOps after fine-tuning, other candidates) -> the others' predicted SynOps."""


def _identity(known: Known, post_N: Floats, other: Known) -> Floats:
    return other.pre_N


def _ratio(known: Known, post_N: Floats, other: Known) -> Floats:
    scaled: Floats = other.pre_N * float(known.pre_N @ post_N) / float(known.pre_N @ known.pre_N)
    return scaled


def _least_squares(features_NF: Floats, post_N: Floats, other_MF: Floats) -> Floats:
    """Fit by least squares with an intercept."""
    ones_N, ones_M = np.ones((len(features_NF), 1)), np.ones((len(other_MF), 1))
    weights, *_ = np.linalg.lstsq(np.hstack([features_NF, ones_N]), post_N, rcond=None)
    predicted: Floats = np.hstack([other_MF, ones_M]) @ weights
    return predicted


def _linear(known: Known, post_N: Floats, other: Known) -> Floats:
    return _least_squares(known.pre_N[:, None], post_N, other.pre_N[:, None])


def _log_linear(known: Known, post_N: Floats, other: Known) -> Floats:
    least = np.finfo(np.float64).tiny
    pre, post, others = (np.log(np.maximum(each, least)) for each in (known.pre_N, post_N, other.pre_N))
    predicted: Floats = np.exp(_least_squares(pre[:, None], post, others[:, None]))
    return predicted


def _two_feature(known: Known, post_N: Floats, other: Known) -> Floats:
    one, two = (np.column_stack([each.pre_N, each.macs_N]) for each in (known, other))
    return _least_squares(one, post_N, two)


def _per_layer(known: Known, post_N: Floats, other: Known) -> Floats:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-6, 2, 25)))
    return np.asarray(model.fit(known.layers_NL, post_N).predict(other.layers_NL), dtype=np.float64)


def _gaussian_process(known: Known, post_N: Floats, other: Known) -> Floats:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF
    from sklearn.gaussian_process.kernels import ConstantKernel
    from sklearn.gaussian_process.kernels import WhiteKernel

    kernel = ConstantKernel(1.0) * RBF(1.0, (0.05, 100.0)) + WhiteKernel(0.01, (1e-6, 1.0))
    model = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=2, random_state=0)
    mean, spread = known.pre_N.mean(), known.pre_N.std()
    one, two = (((each.pre_N - mean) / spread)[:, None] for each in (known, other))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hyper-parameter at the end of its range is no news
        return np.asarray(model.fit(one, post_N).predict(two), dtype=np.float64)


def _mlp(known: Known, post_N: Floats, other: Known) -> Floats:
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    one, two = (np.column_stack([each.pre_N, each.layers_NL]) for each in (known, other))
    scale = post_N.std() or 1.0
    model = make_pipeline(
        StandardScaler(),
        MLPRegressor(hidden_layer_sizes=(16,), solver="lbfgs", alpha=0.1, max_iter=2000, random_state=0),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs stopped early
        predicted = model.fit(one, (post_N - post_N.mean()) / scale).predict(two)
    return np.asarray(predicted * scale + post_N.mean(), dtype=np.float64)


def _isotonic(known: Known, post_N: Floats, other: Known) -> Floats:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(out_of_bounds="clip")
    return np.asarray(model.fit(known.pre_N, post_N).predict(other.pre_N), dtype=np.float64)


FORMS: Final[Mapping[str, Form]] = MappingProxyType(
    {
        "identity": _identity,
        "ratio": _ratio,
        "linear": _linear,
        "log-linear": _log_linear,
        "two-feature": _two_feature,
        "per-layer": _per_layer,
        "GP": _gaussian_process,
        "MLP": _mlp,
        "isotonic": _isotonic,
    }
)
"""Name -> form."""
