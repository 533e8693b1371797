"""``report.html``: one file that shows a whole run, without a network, from a phone to a printer."""

import dataclasses
import html
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from typing import Final

from matplotlib.figure import Figure

from conf.groups import choices
from conf.identity import leaves
from conf.schema import ContentConfig
from conf.schema import SearchConfig
from lightning_snn.describe import percent
from lightning_snn.describe import share_of
from lightning_snn.files import write_text
from search._page import page
from search._page import picture
from search._page import sortable_table
from search._page import table
from search.configuration import load_config
from search.drawing import figure_svg
from search.figures import architecture_figure
from search.figures import channels_figure
from search.figures import estimator_figure
from search.figures import layers_figure
from search.figures import progress_figure
from search.figures import trade_off_figure
from search.objective import best_trial
from search.objective import is_feasible
from search.progress import ENDED
from search.record import RunRecord
from search.result import BEFORE_AND_AFTER
from search.result import before_and_after
from search.result import notes

CAPTIONS: Final = {
    "progress": (
        "Was the search still finding better networks?",
        "Each mark is a network that was pruned and measured; the line is the best within the budget so far. "
        "Where it is flat for long, more evaluations brought nothing; where it climbs at the end, more might.",
    ),
    "trade-off": (
        "Does the best network use the budget up?",
        "Marks lie at the SynOps predicted for after fine-tuning and at the accuracy before it. A trial is feasible "
        "where its thin line, which ends at the upper bound, stays left of the budget. The arrow shows what "
        "fine-tuning made of the best trial; the star's SynOps are measured, on test data.",
    ),
    "estimator": (
        "Can the prediction be trusted?",
        "Each dot is a pruned network, measured before and after fine-tuning. Dots should lie close to the line, and "
        "the final network not above the shaded band. Above the line of no change, fine-tuning adds SynOps.",
    ),
    "channels": (
        "Where was the network cut?",
        "Channels kept of each group of layers, in network order: this is what the search chose under the budget.",
    ),
    "architecture": (
        "What does the smaller network look like?",
        "Boxes are to scale: outlined as the dense network was, filled with what is left; numbers are channels.",
    ),
    "layers": (
        "Which layers cost what, and how much do they fire?",
        "Measured on test data, per sample. A layer's SynOps fall with its own channels, with those before it, and "
        "with the rate at which its inputs fire. Layers with a * do not count in the budget.",
    ),
}
"""What each picture answers, and how to read it."""


def write_report(file: Path, record: RunRecord) -> None:
    """Write the report of a run; the same record gives the same bytes.

    Args:
        file: Such as ``runs/<name>/report.html``; replaced atomically.
        record: The run.
    """
    result = record.result
    pictures = [picture(name, figure_svg(each), *CAPTIONS[name]) for name, each in draw_figures(record).items()]
    sections = [
        _heading(record),
        _steps(record),
        "<h2>Before and after</h2>\n" + table(BEFORE_AND_AFTER, before_and_after(result)),
        *pictures,
        _estimator(record),
        _trials(record),
        _reproduction(record),
    ]
    write_text(file, page(f"{result['network']} on {result['data']}: {result['strategy']}", sections))


def draw_figures(record: RunRecord) -> dict[str, Figure]:
    """Return the pictures of a run by name."""
    result = record.result
    return {
        "progress": progress_figure(record.trials),
        "trade-off": trade_off_figure(record.trials, record.budget, result),
        "estimator": estimator_figure(record.samples, record.estimator, record.budget, record.trials, result),
        "channels": channels_figure(record.full, result["result"]["widths"]),
        "architecture": architecture_figure(result["baseline"]["layers"], result["result"]["layers"]),
        "layers": layers_figure(result["baseline"]["layers"], result["result"]["layers"]),
    }


def command_of(config: SearchConfig) -> str:
    """Return a command line that gives ``config`` again: names first, then all settings that they do not imply."""
    named = {"data": config.data.name, "network": config.network.name, "strategy": config.strategy.name}
    words = [word for group, name in named.items() if name in choices(group) for word in (f"--{group}", name)]
    implied = dict(leaves(dataclasses.asdict(load_config(words))))
    for key, value in leaves(dataclasses.asdict(dataclasses.replace(config, content=ContentConfig()))):
        if value != implied.get(key, {}):
            words += [f"--{key}", "null" if value is None else str(value)]
    return shlex.join(["python", "-m", "search", *words])


def _heading(record: RunRecord) -> str:
    result = record.result
    budget, made, most = result["budget"], result["evaluations"], record.config.strategy.evaluations
    ended = f", as {ENDED}" if made < most else ""
    allowed = f"{percent(budget['target_fraction'])} of the dense network's SynOps"
    facts = (
        f"Strategy {result['strategy']}, budget {allowed}, T = {result['time_steps']}, seed {result['seed']}, "
        f"{made} of {most} evaluations in {result['trials']} trials{ended}."
    )
    return (
        f"<h1>{html.escape(result['network'])} on {html.escape(result['data'])}</h1>\n"
        f"<p>{html.escape(f'{facts} {notes(result)}')}</p>\n"
        f'<p class="verdict {"met" if budget["met"] else "infeasible"}">{_verdict(result)}</p>'
    )


def _verdict(result: Mapping[str, Any]) -> str:
    budget, synops = result["budget"], result["result"]["synops"]
    measured = (
        f"Measured on test data, the result needs {percent(share_of(synops, result['baseline']['synops']))} of the "
        f"dense network's SynOps; allowed are {percent(budget['target_fraction'])}."
    )
    if budget["met"]:
        text = f"<b>Budget met.</b> {measured}"
    else:
        text = f"<b>Infeasible: the budget is not met.</b> {measured}"
        if synops <= budget["target_synops"]:
            text += " On validation data, which count as well, it needs more than that, with two standard errors added."
    if budget["tightened"]:
        again = "once" if budget["tightened"] == 1 else f"{budget['tightened']} times"
        text += (
            " At first it was above the budget on validation data, with two standard errors added: it was made smaller "
            f"and fine-tuned again, {again}."
        )
    return text


def _estimator(record: RunRecord) -> str:
    fitted, dense = record.result["estimator"], record.budget.baseline
    sign = "-" if fitted["intercept"] < 0.0 else "+"
    lines = [
        f"Fitted to {fitted['samples']} pruned networks, measured before and after fine-tuning: SynOps after = "
        f"{fitted['slope']:.3f} x before {sign} {abs(fitted['intercept']):,.0f}."
    ]
    if fitted["holdout_mae_fraction"] is not None:
        lines.append(
            "The SynOps of samples near the budget, each left out in turn, are predicted with a mean error of "
            f"{percent(fitted['holdout_mae_fraction'], 2)} of the dense network's."
        )
    lower, mean, upper = (fitted[key] / dense for key in ("lower", "predicted_synops", "upper"))
    measured = share_of(record.result["result"]["synops"], record.result["baseline"]["synops"])
    confidence = percent(record.config.estimator.confidence, 0)
    lines.append(
        f"For the chosen network it predicted {percent(mean)} of the dense network's SynOps, between "
        f"{percent(lower)} and {percent(upper)} (each bound with {confidence} confidence); "
    )
    if record.result["budget"]["tightened"]:
        lines[-1] += f"after it was made smaller, {percent(measured)} were measured."
    elif math.isnan(measured):
        lines[-1] += "what was measured is no share of anything, as the dense network hardly spikes on test data."
    else:
        where = "below" if measured < lower else "above" if measured > upper else "within"
        lines[-1] += f"{percent(measured)} were measured, {where} these bounds."
    return "<h2>Estimator</h2>\n<p>" + html.escape(" ".join(lines)) + "</p>"


def _steps(record: RunRecord) -> str:
    """Say what each step came to and took."""
    result, seconds = record.result, record.result["seconds"]
    dense, small, fitted = result["baseline"], result["result"], result["estimator"]
    best, tightened = best_trial(record.trials), result["budget"]["tightened"]
    steps = (
        ("1 settings", f"{result['data']}, {result['network']}, budget {percent(record.budget.fraction)}", None),
        ("2 dense network", f"validation accuracy {percent(dense['validation_accuracy'])}", "baseline"),
        ("3 estimator", f"{fitted['samples']} networks pruned and fine-tuned", "estimator"),
        (
            "4 search",
            f"{result['evaluations']} networks measured; best: "
            + (
                f"{percent(best.user_attrs['accuracy'])} before fine-tuning"
                if best is not None and is_feasible(best)
                else "none within the budget"
            ),
            "search",
        ),
        (
            "5 fine-tuning",
            f"validation accuracy {percent(small['validation_accuracy'])}"
            + (f", tightened {tightened} x" if tightened else ""),
            "finetune",
        ),
        ("6 verification", f"test accuracy {percent(small['test_accuracy'])}, once", "verify"),
        ("7 artifact", "best/ holds the network; this page", None),
    )
    total = seconds["total"] or 1.0
    rows = [
        (
            step,
            what,
            "" if key is None else _duration(seconds[key]),
            "" if key is None else percent(seconds[key] / total),
        )
        for step, what, key in steps
    ]
    rows.append(("total", "", _duration(seconds["total"]), ""))
    note = "<p>The dense network and the samples may be shared with other runs; their time is counted in full.</p>"
    return '<h2>The seven steps</h2>\n<div class="steps">' + table(("", "", "took", ""), rows) + f"</div>\n{note}"


def _trials(record: RunRecord) -> str:
    """List all trials; a row's tooltip names the channels of each group."""
    head = ("trial", "accuracy, %", "predicted SynOps, %", "upper bound, %", "feasible", "parameters", "channels")
    rows, tips = [], []
    for trial in record.trials:
        seen = trial.user_attrs
        widths: Mapping[str, int] = seen.get("widths", {})
        tips.append(", ".join(f"{name}: {kept} of {record.full[name]}" for name, kept in widths.items()))
        shares = (100.0 * seen[key] / record.budget.baseline for key in ("predicted_synops", "upper"))
        figures = [f"{100.0 * seen['accuracy']:.2f}", *(f"{share:.1f}" for share in shares)]
        kept = " ".join(map(str, widths.values()))
        rows.append((trial.number, *figures, "yes" if is_feasible(trial) else "no", seen["parameters"], kept))
    return (
        "<h2>All trials</h2>\n<p>Click on a head to sort. SynOps are shares of the dense network's, after fine-tuning."
        "</p>\n" + sortable_table(head, rows, tips)
    )


def _reproduction(record: RunRecord) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.result["versions"].items())
    settings = [(key, "null" if value is None else value) for key, value in leaves(dataclasses.asdict(record.config))]
    return (
        "<h2>To do it again</h2>\n"
        f"<pre>{html.escape(command_of(record.config))}</pre>\n<p>With {html.escape(versions)}.</p>\n"
        f"<details>\n<summary>All settings</summary>\n{table((), settings)}\n</details>"
    )


def _duration(seconds: float) -> str:
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
