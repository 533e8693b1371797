"""The rows of the comparison of pruners: which method, at which strength, on which data, with which seed."""

from dataclasses import dataclass

SEEDS = (0, 1, 2)
DATA = {
    "digits": ("--data", "digits"),
    "digits_events": ("--data", "digits_events"),
    "cifar10": ("--experiment", "rivals_cifar10"),
}
"""Data -> settings of its trainings."""

BY_TARGET = {
    "random weights": ("random",),
    "magnitude": ("magnitude",),
    "lamp": ("lamp",),
    "slamp": ("slamp",),
    "random channels": ("random", "of=channels"),
    "slimming": ("slimming", "l1=1e-3"),
    "sca": ("sca",),
}
"""Method -> pruner and options, for methods that are held to a share of the dense SynOps.

The weight of Network Slimming's penalty is ten times the published one, for trainings a fiftieth as long: of 1e-4, 1e-3
and 1e-2 it was best on validation data, on CIFAR-10 at 50 % with a seed that the comparison does not use (4,000
validation images: 52.9, 56.4 and 10.0 %). The published one is an ablation.
"""
TARGETS = (0.5, 0.25)

BY_PATTERN = {
    "random n:m": ("random_nm",),
    "magnitude n:m": ("magnitude_nm",),
    "random n:m from scratch": ("random_nm", "from_scratch=true"),
    "sr-ste": ("sr_ste",),
    "spike-nm": ("spike_nm",),
}
"""Method -> pruner and options, for methods that keep N of M weights."""
PATTERNS = ((2, 4), (1, 4))

CONTROLS = {
    **dict.fromkeys(("magnitude", "lamp", "slamp"), "random weights"),
    **dict.fromkeys(("slimming", "slimming, published l1", "slimming without floor"), "random channels"),
    **dict.fromkeys(("sca", "sca without regrowth", "sca, published signal"), "random channels"),
    "magnitude n:m": "random n:m",
    **dict.fromkeys(("sr-ste", "spike-nm", "spike-nm without EID"), "random n:m from scratch"),
}
"""Method -> the random control that it must beat."""

IDEAS = (
    ("lamp", "uniform"),
    ("slamp", "uniform"),
    ("slamp", "lamp"),
    ("spike-nm", "spike-nm without EID"),
    ("spike-nm", "sr-ste"),
    ("spike-nm without EID", "sr-ste"),
    ("sca", "sca without regrowth"),
    ("sca", "sca, published signal"),
    ("slimming", "slimming, published l1"),
    ("slimming", "slimming without floor"),
)
"""Method, and the one without the idea that it is made of: what the table of ablations compares, at each strength."""


@dataclass(frozen=True)
class Row:
    """One pruned network."""

    data: str
    method: str
    strength: str
    seed: int
    settings: tuple[str, ...]
    """Of ``python -m lightning_snn.train``."""

    @property
    def name(self) -> str:
        """Return a name for folders."""
        words = "-".join((self.data, self.method, self.strength, f"s{self.seed}"))
        return words.replace(" ", "_").replace(":", "of").replace("%", "").replace(",", "")


def rows() -> list[Row]:
    """Return all rows: cheap methods first, so that each data set has its table early; ablations last."""
    main = [row for seed in SEEDS for data in DATA for row in _main(data, seed)]
    costly = ("slimming", "sca", "random n:m from scratch", "sr-ste", "spike-nm")
    ablations = [row for seed in SEEDS for row in _ablations(seed)]
    return sorted(main, key=lambda row: row.method in costly) + ablations


def _main(data: str, seed: int) -> list[Row]:
    # The dense network had fewer epochs than the pruned ones: here it has as many, and keeps (all but) every weight.
    found = [_row(data, "dense, as long", "100%", seed, ("magnitude", "sparsity=1e-6"))]
    found += [
        _row(data, method, f"{target:.0%}", seed, pruner, f"pruning.target={target}")
        for method, pruner in BY_TARGET.items()
        for target in TARGETS
    ]
    return found + [
        _row(data, method, f"{n}:{m}", seed, pruner, f"pruning.options.n={n}", f"pruning.options.m={m}")
        for method, pruner in BY_PATTERN.items()
        for n, m in PATTERNS
    ]


def _ablations(seed: int) -> list[Row]:
    """Return what shows, on CIFAR-10, whether the idea of a method does its work."""
    uniform = ("magnitude", "layers=uniform")
    found = [
        _row("cifar10", method, f"{sparsity:.0%} sparse", seed, pruner, f"pruning.options.sparsity={sparsity}")
        for sparsity in (0.9, 0.95)
        for method, pruner in (("uniform", uniform), ("lamp", ("lamp",)), ("slamp", ("slamp",)))
    ]
    half, eighth = (
        tuple(f"pruning.options.{key}={value}" for key, value in zip("nm", each, strict=True))
        for each in ((2, 4), (1, 8))
    )
    without = ("spike_nm", "eid=false")
    found += [_row("cifar10", method, "1:8", seed, pruner, *eighth) for method, pruner in BY_PATTERN.items()]
    found.append(_row("cifar10", "spike-nm without EID", "1:8", seed, without, *eighth))
    found.append(_row("cifar10", "spike-nm without EID", "2:4", seed, without, *half))
    for method, pruner in (
        ("sca without regrowth", ("sca", "regrow=0")),
        ("sca, published signal", ("sca", "signal=gamma")),
        ("slimming without floor", ("slimming", "l1=1e-3", "low=0")),
        ("slimming, published l1", ("slimming",)),
    ):
        found.append(_row("cifar10", method, "50%", seed, pruner, "pruning.target=0.5"))
    found.append(_row("cifar10", "slimming, published l1", "25%", seed, ("slimming",), "pruning.target=0.25"))
    return found


def _row(data: str, method: str, strength: str, seed: int, pruner: tuple[str, ...], *settings: str) -> Row:
    name, *options = pruner
    chosen = [f"pruning={name}", *(f"pruning.options.{option}" for option in options), f"seed={seed}"]
    return Row(data, method, strength, seed, (*DATA[data], *chosen, *settings))
