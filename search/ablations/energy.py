"""Whether energy models order candidates as SynOps do.

Of each seed two times 24 candidates are measured, none is trained: one half spread around the target, the other half
put on the budget by the projection, as searches compare them. For each model of energy: Kendall's tau between SynOps
and energy over the first half, and how much energy differs within the second half, where SynOps are nearly the same.
Conclusion by rule: the order is the same where the 95 % interval of tau over seeds begins at 0.9 or above, and another
where it ends below.

Models: arithmetic in 45 nm (Horowitz), of the layers in the budget and of all layers, and that of Lemaire et al. (2022,
arXiv 2210.13107; SpikingJelly's), with arithmetic and neuron updates, and with memory too.
"""

import warnings
from typing import Final

import numpy as np
import plotly.graph_objects as go
import torch
from numpy.typing import NDArray
from scipy import stats
from spikingjelly.activation_based.op_counter import LemaireEnergyConfig
from spikingjelly.activation_based.op_counter import LemaireEnergyProfiler
from torch import Tensor
from torch import nn

from conf.identity import digest
from conf.identity import identity
from lightning_snn.energy import ENERGY_45_NM
from lightning_snn.energy import energy_nanojoules
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.forward import run_network
from lightning_snn.forward import to_time_first
from lightning_snn.progress import Phase
from lightning_snn.seeds import seed_for
from lightning_snn.synops import SynOpsReport
from search.ablations.ablation import Setting
from search.ablations.finding import Finding
from search.ablations.pool import pool_config
from search.ablations.pool import prepare
from search.ablations.pool import usual_widths
from search.budget import Budget
from search.budget import project
from search.comparison.canvas import COLOURS
from search.comparison.canvas import canvas
from search.comparison.statistics import mean_interval
from search.comparison.summary import mean_of
from search.comparison.tables import in_percent
from search.comparison.tables import percent
from search.comparison.tables import plain
from search.space import SearchContext

CANDIDATES: Final = 24
SAMPLES: Final = 16
"""Training samples that Lemaire's model is run on, one at a time: its memories are as large as one sample needs."""
SAME: Final = 0.9
SYNOPS: Final = "synops"

Energies = dict[str, float]
"""SynOps, and energy by each model, of one candidate."""
Found = dict[str, list[Energies]]
"""``spread`` or ``on budget`` -> candidates."""


class EnergyAblation:
    """SynOps against energy, candidate by candidate."""

    def cost(self, setting: Setting) -> str:
        """Say what is measured."""
        count = 2 * CANDIDATES * len(setting.config.seeds)
        return f"{count} measurements of pruned networks, which are not trained."

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Measure candidates, and compare orders."""
        found: list[Found] = []
        phase.expect(2 * CANDIDATES * len(setting.config.seeds))
        for seed in setting.config.seeds:
            file = setting.folder / f"energies-s{seed}-{digest(identity(pool_config(setting, seed)))}.json"
            if file.exists():
                phase.reach(phase.done + 2 * CANDIDATES, f"seed {seed} is there")
            else:
                write_json(file, self._measure(setting, seed, phase))
            found.append(read_json(file))
        return conclude(found)

    def _measure(self, setting: Setting, seed: int, phase: Phase) -> Found:
        task, baseline, budget, context = prepare(pool_config(setting, seed), phase)
        [(x, _)] = task.data.calibration_batches(1, SAMPLES)
        x_TBCHW = to_time_first(x, task.time_steps)
        evaluator, found = baseline.evaluator(task), Found()
        for kind, draw in (("spread", usual_widths), ("on budget", on_budget)):
            found[kind] = []
            for widths in draw(CANDIDATES, context, budget, seed):
                network = evaluator.prune(widths)
                report = task.measure_validation(network).synops
                found[kind].append({SYNOPS: report.total, **arithmetic(report), **lemaire(network, x_TBCHW)})
                phase.advance(f"seed {seed}, {kind}, {len(found[kind])} of {CANDIDATES}")
        return found


def on_budget(count: int, context: SearchContext, budget: Budget, seed: int) -> list[list[int]]:
    """Draw keep ratios at random, and bend them onto the target."""
    ratios_NG = np.random.default_rng(seed_for(seed, "energy")).uniform(context.low, 1.0, (count, len(context.full)))
    return [
        project(ratios.tolist(), context.full, low=context.low, cost=context.cost, target=budget.target)
        for ratios in ratios_NG
    ]


def arithmetic(report: SynOpsReport) -> Energies:
    """Return the energy of operations alone, in nJ: of the layers in the budget, of all, and without sparsity."""
    counted = [report.layers[name] for name in report.budgeted]
    energies = {
        "fp32, layers in the budget": energy_nanojoules(
            sum(layer.accumulates for layer in counted), sum(layer.macs for layer in counted), "fp32"
        )
    }
    accumulates = sum(layer.accumulates for layer in report.layers.values())
    macs = sum(layer.macs for layer in report.layers.values())
    for precision in ENERGY_45_NM:
        energies[f"{precision}, all layers"] = energy_nanojoules(accumulates, macs, precision)
    energies["dense MACs, fp32 (no sparsity)"] = energy_nanojoules(0.0, report.dense, "fp32")
    return energies


def lemaire(network: nn.Module, x_TBCHW: Tensor) -> Energies:
    """Return the energy by Lemaire's model, in nJ a sample: arithmetic and neuron updates, and with memory."""
    device = next(network.parameters()).device
    profiler = LemaireEnergyProfiler(config=LemaireEnergyConfig(strict=False))
    profiler.bind_model(network.eval())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Lemaire formulas do not support")  # pooling, and batch norms, not yet folded
        with profiler, torch.no_grad():
            for x_TCHW in x_TBCHW.to(device).unbind(1):
                run_network(network, x_TCHW[:, None])
    report, samples = profiler.get_report(), x_TBCHW.shape[1]
    computing = report.breakdown_pj["ops_pj"] + report.breakdown_pj["addressing_pj"]
    return {
        "Lemaire, arithmetic and neurons": computing / samples / 1000.0,
        "Lemaire, with memory": report.total_pj / samples / 1000.0,
    }


def conclude(found: list[Found]) -> Finding:
    """Say which models order candidates otherwise.

    Args:
        found: Of each seed.
    """
    models = [name for name in found[0]["spread"][0] if name != SYNOPS]
    taus = {model: [kendalls_tau(seed["spread"], model) for seed in found] for model in models}
    variations = {
        model: mean_of([variation(seed["on budget"], model) for seed in found]) for model in (SYNOPS, *models)
    }
    ends = {model: mean_interval(taus[model]) for model in models}
    same = [model for model in models if ends[model][1] >= SAME]
    other = [model for model in models if ends[model][2] < SAME]
    rest = [model for model in models if model not in same and model not in other]
    said = [
        f"Candidates {verb}: {', '.join(f'{each} ({plain(mean_of(taus[each]), 2)})' for each in named)}."
        for verb, named in (
            (f"have the order of their SynOps (Kendall's tau of {SAME:g} or more) by", same),
            ("have another order by", other),
            ("may have the same order or another (these seeds cannot tell) by", rest),
        )
        if named
    ]
    most = max(models, key=lambda model: variations[model].mean)
    said.append(
        f"Candidates on the budget differ in SynOps by {in_percent(variations[SYNOPS], 1)} (standard deviation over "
        f"mean), in energy by at most {in_percent(variations[most], 1)} ({most})."
    )
    return Finding(
        conclusion=" ".join(said),
        head=["energy model", "Kendall's tau", "pairs ordered otherwise, %", "variation at equal SynOps, %"],
        rows=[
            [
                model,
                plain(mean_of(taus[model]), 3),
                percent(mean_of([(1.0 - tau) / 2.0 for tau in taus[model]]), 1),
                percent(variations[model], 1),
            ]
            for model in models
        ],
        legend=(
            f"Pruned networks before fine-tuning, {CANDIDATES} spread around the target and {CANDIDATES} on it a seed; "
            f"mean ± standard error over seeds ({len(found)}). fp32, layers in the budget: SynOps in another unit "
            "where hidden layers get spikes alone. Lemaire: SpikingJelly's op_counter, on training samples. Variation "
            f"at equal SynOps: standard deviation over mean of those on the budget; of SynOps themselves "
            f"{in_percent(variations[SYNOPS], 1)}. The picture shows the first seed's spread ones."
        ),
        figure=_figure(found[0]["spread"], models),
        values=found,
    )


def kendalls_tau(candidates: list[Energies], model: str) -> float:
    """Return how alike energy and SynOps order candidates, from -1 to 1."""
    synops, energy = ([each[name] for each in candidates] for name in (SYNOPS, model))
    return float(stats.kendalltau(synops, energy).statistic)


def variation(candidates: list[Energies], figure: str) -> float:
    """Return the standard deviation of a figure over its mean."""
    values: NDArray[np.float64] = np.array([each[figure] for each in candidates])
    return float(values.std(ddof=1) / values.mean())


def _figure(candidates: list[Energies], models: list[str]) -> go.Figure:
    figure = canvas("SynOps, relative to the mean candidate", "energy, relative to the mean candidate")
    for model, colour in zip(models, COLOURS, strict=False):
        x, y = (np.array([each[name] for each in candidates]) for name in (SYNOPS, model))
        figure.add_scatter(
            x=(x / x.mean()).tolist(), y=(y / y.mean()).tolist(), mode="markers", name=model, marker={"color": colour}
        )
    return figure


ENERGY: Final = EnergyAblation()
