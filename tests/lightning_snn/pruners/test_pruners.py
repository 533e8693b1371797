"""Every pruner of the registry, under the promises of :class:`PrunerConformance`."""

import inspect
import pkgutil
from pathlib import Path
from types import MappingProxyType

import pytest

from lightning_snn.errors import PruningError
from lightning_snn.pruners import PRUNERS
from lightning_snn.pruners import build_pruner
from lightning_snn.pruners import check_pruner
from tests.lightning_snn.pruners.conformance import PrunerConformance
from tests.lightning_snn.pruners.conformance import make_bench

README = Path(__file__).parents[3] / "README.md"


class TestLamp(PrunerConformance):
    name = "lamp"
    own_measure = "sparsity"
    has_rounds = True


class TestMagnitude(PrunerConformance):
    name = "magnitude"
    own_measure = "sparsity"
    has_rounds = True


class TestMagnitudeUniform(TestMagnitude):
    options = MappingProxyType({"layers": "uniform"})


class TestMagnitudeErk(TestMagnitude):
    options = MappingProxyType({"layers": "erk"})


class TestRandomWeights(PrunerConformance):
    name = "random"
    own_measure = "sparsity"
    has_rounds = True


class TestRandomChannels(PrunerConformance):
    name = "random"
    own_measure = "keep"
    options = MappingProxyType({"of": "channels"})


def test_an_unknown_pruner_names_the_nearest() -> None:
    with pytest.raises(PruningError, match=r"^No pruner is called 'lmap'\. Did you mean 'lamp'\?$"):
        build_pruner("lmap", bench=make_bench())


def test_bench_and_target_are_no_options() -> None:
    with pytest.raises(PruningError, match=r"^Pruner 'lamp' has no option 'bench'\. Known options: rounds, sparsity"):
        check_pruner("lamp", {"bench": 1})


def test_unknown_shares_of_layers_name_the_nearest() -> None:
    with pytest.raises(PruningError, match=r"^No pruning\.options\.layers is called 'erg'\. Did you mean 'erk'\?$"):
        build_pruner("magnitude", bench=make_bench(), layers="erg")


class TestSlamp(PrunerConformance):
    name = "slamp"
    own_measure = "sparsity"
    has_rounds = True


class TestSlimming(PrunerConformance):
    name = "slimming"
    own_measure = "keep"


class TestSCA(PrunerConformance):
    name = "sca"
    own_measure = "keep"


class TestSCAPublished(PrunerConformance):
    name = "sca"
    options = MappingProxyType({"signal": "gamma"})
    own_measure = "keep"


class TestMagnitudeNM(PrunerConformance):
    name = "magnitude_nm"
    target = None


class TestRandomNM(PrunerConformance):
    name = "random_nm"
    target = None


class TestRandomNMFromScratch(PrunerConformance):
    name = "random_nm"
    options = MappingProxyType({"from_scratch": True})
    target = None


class TestSRSTE(PrunerConformance):
    name = "sr_ste"
    target = None


class TestSpikeNM(PrunerConformance):
    name = "spike_nm"
    target = None


@pytest.mark.parametrize("name", sorted(PRUNERS))
def test_the_readme_names_every_option(name: str) -> None:
    section = README.read_text().split("## Prune without a search")[1].split("## Data")[0]
    takes = inspect.signature(pkgutil.resolve_name(PRUNERS[name])).parameters
    assert [option for option in takes if f"`{option}`" not in section and option not in ("bench", "target")] == []
