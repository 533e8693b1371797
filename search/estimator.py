"""LRE: predict SynOps after fine-tuning from SynOps before, with a bound that knows its error.

``post = slope * pre + intercept + noise`` is fitted by least squares to n pruned networks that were measured
before and after fine-tuning. The one-sided bounds of a new network at ``x`` are

    mean +- t(confidence, n - 2) * sigma * sqrt(1 + 1/n + (x - mean x)^2 / Sxx),    sigma^2 = RSS / (n - 2)

Source: a line with one slope and one intercept is SPEAR's (Xie et al., arXiv 2507.02945); the bounds, the
rivals and the stopping rule are ours.
"""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray
from scipy import stats

from lightning_snn.errors import nearest
from search.errors import SearchError

Floats = NDArray[np.float64]
GRID: Final = 1024
"""Steps in which the bound's crossing of the target is looked for."""
SAME: Final = 1e-9
"""SynOps that differ by less than this share of them are the same but for rounding."""


@dataclass(frozen=True)
class Prediction:
    """SynOps after fine-tuning: the expected value and one-sided bounds, each of the shape that was asked for."""

    mean: Floats
    lower: Floats
    upper: Floats


class Estimator(Protocol):
    """What every estimator offers."""

    name: str
    """As in :data:`ESTIMATORS`."""
    slope: float
    intercept: float

    def fit(self, pre: ArrayLike, post: ArrayLike) -> "Estimator":
        """Fit SynOps before (``[n]``) to SynOps after fine-tuning (``[n]``); return itself."""
        ...

    def predict(self, pre: ArrayLike) -> Prediction:
        """Predict SynOps after fine-tuning for SynOps before it."""
        ...


class LinearEstimator:
    """The line of the module docstring."""

    name = "linear"
    least_samples = 3

    def __init__(self, confidence: float = 0.95) -> None:
        """Hold the one-sided ``confidence`` of the bounds."""
        self.confidence = confidence
        self.slope = self.intercept = self.sigma = float("nan")

    def fit(self, pre: ArrayLike, post: ArrayLike) -> "LinearEstimator":
        """Fit by least squares.

        Args:
            pre: SynOps before fine-tuning, ``[n]``, n >= 3, not all equal.
            post: SynOps after fine-tuning of the same networks, ``[n]``.

        Raises:
            SearchError: If there are too few samples, they do not vary, or are not finite.
        """
        x, y = _samples(pre, post, self.least_samples)
        self.samples, self.mean_pre = len(x), float(x.mean())
        self.spread = float(((x - x.mean()) ** 2).sum())
        if np.ptp(x) <= SAME * np.abs(x).max():
            raise SearchError(
                f"A line needs samples that differ in SynOps, found {len(x)} times {x[0]:g}. "
                "Fit a ratio, as fit_estimator does (estimator.name=ratio)."
            )
        self.slope = float(((x - x.mean()) * (y - y.mean())).sum() / self.spread)
        self.intercept = float(y.mean() - self.slope * x.mean())
        residuals = y - (self.slope * x + self.intercept)
        self.sigma = float(np.sqrt((residuals**2).sum() / (len(x) - 2)))
        return self

    def predict(self, pre: ArrayLike) -> Prediction:
        """Return mean and bounds for SynOps before fine-tuning of any shape."""
        x = np.asarray(pre, dtype=np.float64)
        mean = self.slope * x + self.intercept
        factor = np.sqrt(1.0 + 1.0 / self.samples + (x - self.mean_pre) ** 2 / self.spread)
        half = stats.t.ppf(self.confidence, self.samples - 2) * self.sigma * factor
        return Prediction(mean, mean - half, mean + half)


class RatioEstimator:
    """A line through the origin, ``post = c * pre``; what is left when the fitted line cannot be trusted."""

    name = "ratio"
    least_samples = 2

    def __init__(self, confidence: float = 0.95) -> None:
        """Hold the one-sided ``confidence`` of the bounds."""
        self.confidence = confidence
        self.slope, self.intercept, self.sigma = float("nan"), 0.0, float("nan")

    def fit(self, pre: ArrayLike, post: ArrayLike) -> "RatioEstimator":
        """Fit by least squares; errors as in :meth:`LinearEstimator.fit`."""
        x, y = _samples(pre, post, self.least_samples)
        self.samples, self.power = len(x), float((x**2).sum())
        if self.power == 0.0:
            raise SearchError(
                f"A ratio needs samples that spike, found {len(x)} times 0 SynOps. Train the dense network longer."
            )
        self.slope = float((x * y).sum() / self.power)
        self.sigma = float(np.sqrt(((y - self.slope * x) ** 2).sum() / (len(x) - 1)))
        return self

    def predict(self, pre: ArrayLike) -> Prediction:
        """Return mean and bounds for SynOps before fine-tuning of any shape."""
        x = np.asarray(pre, dtype=np.float64)
        mean = self.slope * x
        half = stats.t.ppf(self.confidence, self.samples - 1) * self.sigma * np.sqrt(1.0 + x**2 / self.power)
        return Prediction(mean, mean - half, mean + half)


class IdentityEstimator:
    """No estimator: SynOps after fine-tuning are taken for those before, without a margin. A control."""

    name = "identity"

    def __init__(self, confidence: float = 0.95) -> None:
        """Take the argument of its rivals; it has no bounds to set."""
        self.slope, self.intercept = 1.0, 0.0

    def fit(self, pre: ArrayLike, post: ArrayLike) -> "IdentityEstimator":
        """Learn nothing."""
        return self

    def predict(self, pre: ArrayLike) -> Prediction:
        """Return ``pre`` as mean and bounds."""
        x = np.asarray(pre, dtype=np.float64)
        return Prediction(x, x, x)


ESTIMATORS: Final[Mapping[str, Callable[[float], Estimator]]] = MappingProxyType(
    {each.name: each for each in (LinearEstimator, RatioEstimator, IdentityEstimator)}
)


def build_estimator(name: str, confidence: float) -> Estimator:
    """Build the estimator that ``estimator.name`` calls ``name``.

    Raises:
        SearchError: If the name is unknown.
    """
    if name not in ESTIMATORS:
        raise SearchError(f"No estimator is called {name!r}. {nearest(name, ESTIMATORS)}")
    return ESTIMATORS[name](confidence)


def fit_estimator(name: str, confidence: float, pre: ArrayLike, post: ArrayLike) -> Estimator:
    """Fit the estimator that ``estimator.name`` calls ``name``, or the ratio where samples determine no line.

    They do not where all of them have the same SynOps before fine-tuning: of a network with few channels, only one may
    lie near the budget. Then the ratio says what fine-tuning does to that one, and how much it scatters. (Ours.)

    Raises:
        SearchError: If the name is unknown, or there are too few samples, or not finite ones.
    """
    alike = np.size(pre) > 0 and np.ptp(np.asarray(pre, dtype=np.float64)) == 0.0
    return build_estimator("ratio" if name == "linear" and alike else name, confidence).fit(pre, post)


def pre_for_upper(estimator: Estimator, target: float, highest: float) -> float:
    """Return the most SynOps before fine-tuning, up to ``highest``, whose upper bound is within ``target``.

    Far below the samples the bound rises again, so the last step of a grid within the target is found first, and
    bisected then. 0 where no bound is within.
    """
    grid = np.linspace(0.0, highest, GRID + 1)
    within = np.flatnonzero(estimator.predict(grid).upper <= target)
    if len(within) == 0:
        return 0.0
    low, high = float(grid[within[-1]]), float(grid[min(within[-1] + 1, GRID)])
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if float(estimator.predict(middle).upper) <= target else (low, middle)
    return low


def leave_one_out_errors(name: str, pre: ArrayLike, post: ArrayLike) -> Floats:
    """Return ``|predicted - measured|`` of each sample by an estimator fitted to all others, ``[n]``."""
    x, y = np.asarray(pre, dtype=np.float64), np.asarray(post, dtype=np.float64)
    errors = np.empty(len(x))
    for left_out in range(len(x)):
        rest = np.arange(len(x)) != left_out
        fitted = fit_estimator(name, 0.95, x[rest], y[rest])
        errors[left_out] = abs(float(fitted.predict(x[left_out]).mean) - y[left_out])
    return errors


def _samples(pre: ArrayLike, post: ArrayLike, least: int) -> tuple[Floats, Floats]:
    x, y = np.asarray(pre, dtype=np.float64), np.asarray(post, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < least or not np.isfinite([x, y]).all():
        raise SearchError(
            f"An estimator is fitted to {least} or more pairs of finite SynOps, found shapes {x.shape} and {y.shape}"
            f"{'' if x.shape != y.shape or np.isfinite([x, y]).all() else ' with values that are not finite'}. "
            "Draw more samples, or look for a network that does not spike at all."
        )
    return x, y
