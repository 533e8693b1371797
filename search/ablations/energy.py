"""Whether energy models order candidates as SynOps do.

24 candidates around the target are measured, none is trained. For each model of energy, Kendall's tau between the
candidates' SynOps and their energy, and how often two candidates are ordered otherwise. Conclusion by rule: the order
is the same where tau is at least 0.9.
"""

from typing import Final

import numpy as np
from scipy import stats

from lightning_snn.energy import ENERGY_45_NM
from lightning_snn.energy import energy_nanojoules
from lightning_snn.files import locked
from lightning_snn.files import read_json
from lightning_snn.files import write_json
from lightning_snn.progress import Phase
from search.ablations.ablation import Setting
from search.ablations.charts import COLOURS
from search.ablations.charts import chart
from search.ablations.finding import Finding
from search.ablations.pool import pool_config
from search.ablations.pool import usual_widths
from search.baseline import obtain_baseline
from search.budget import Budget
from search.comparison.summary import mean_of
from search.comparison.tables import plain
from search.configuration import shared_folders
from search.space import build_context
from search.task import SearchTask

CANDIDATES: Final = 24
SAME: Final = 0.9


class EnergyAblation:
    """SynOps against energy, candidate by candidate."""

    question = "Do energy models order candidates as SynOps do?"

    def cost(self, setting: Setting) -> str:
        """Say what is measured."""
        return f"{CANDIDATES * len(setting.config.seeds)} measurements of pruned networks, which are not trained."

    def find(self, setting: Setting, phase: Phase) -> Finding:
        """Measure candidates, and compare orders."""
        found = []
        for seed in setting.config.seeds:
            file = setting.folder / f"candidates-s{seed}.json"
            if not file.exists():
                write_json(file, self._measure(setting, seed, phase))
            found.append(read_json(file))
        return conclude(found)

    def _measure(self, setting: Setting, seed: int, phase: Phase) -> list[dict[str, float]]:
        config = pool_config(setting, seed)
        task = SearchTask(config)
        dense, _ = shared_folders(config)
        with locked(dense, wait=True):
            baseline = obtain_baseline(task, dense, [])
        budget = Budget.of(baseline.validation.synops.total, fraction=config.budget.target, synops=None)
        context = build_context(baseline, budget, low=config.space.low, evaluations=1)
        evaluator, measured = baseline.evaluator(task), []
        for widths in usual_widths(CANDIDATES, context, budget, seed):
            network = evaluator.prune(widths)
            report = task.measure_validation(network).synops
            energy = {
                f"{precision}, all layers": energy_nanojoules(report.accumulates, report.macs, precision)
                for precision in ENERGY_45_NM
            }
            first = next(layer for layer in report.layers.values() if layer.is_first)
            later = report.accumulates - first.accumulates, report.macs - first.macs
            energy["fp32, without the first layer"] = energy_nanojoules(*later, "fp32")
            energy["dense MACs, fp32 (no sparsity)"] = energy_nanojoules(0.0, report.dense, "fp32")
            measured.append({"synops": report.total, **energy})
            phase.advance(f"seed {seed}, {len(measured)} of {CANDIDATES}")
        return measured


def conclude(found: list[list[dict[str, float]]]) -> Finding:
    """Say which models order candidates otherwise.

    Args:
        found: SynOps and energy by each model, of each candidate, of each seed.
    """
    models = [name for name in found[0][0] if name != "synops"]
    taus, flips = {}, {}
    for model in models:
        pairs = [_agreement([c["synops"] for c in seed], [c[model] for c in seed]) for seed in found]
        taus[model], flips[model] = mean_of([tau for tau, _ in pairs]), mean_of([flip for _, flip in pairs])
    same = [model for model in models if taus[model].mean >= SAME]
    other = [model for model in models if model not in same]
    said = [f"Candidates have much the same order (tau of at least {SAME:g}) by: {', '.join(same) or 'none'}."]
    if other:
        said.append("They have not by: " + "; ".join(f"{each} (tau {plain(taus[each], 2)})" for each in other) + ".")
    figure = chart("SynOps, relative to the mean candidate", "energy, relative to the mean candidate")
    for model, colour in zip(models, COLOURS, strict=False):
        x = np.array([each["synops"] for each in found[0]])
        y = np.array([each[model] for each in found[0]])
        figure.add_scatter(
            x=(x / x.mean()).tolist(), y=(y / y.mean()).tolist(), mode="markers", name=model, marker={"color": colour}
        )
    return Finding(
        name="energy",
        question=EnergyAblation.question,
        conclusion=" ".join(said),
        head=["energy model", "Kendall's tau", "pairs ordered otherwise"],
        rows=[[model, plain(taus[model], 3), plain(flips[model], 3)] for model in models],
        legend=(
            f"{CANDIDATES} pruned networks a seed, before fine-tuning, on validation data; mean ± standard error over "
            f"{len(found)} seeds. Energies are Horowitz's figures for 45 nm, without memory and neuron updates. "
            "The picture shows the first seed."
        ),
        figure=figure,
        values=found,
    )


def _agreement(one: list[float], other: list[float]) -> tuple[float, float]:
    """Return Kendall's tau, and the share of pairs that are ordered otherwise."""
    tau = float(stats.kendalltau(one, other).statistic)
    return tau, (1.0 - tau) / 2.0


ENERGY: Final = EnergyAblation()
