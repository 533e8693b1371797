"""Which settings each ablation of searches compares."""

from typing import Final

from search.ablations.agent import AgentAblation
from search.ablations.evaluations import EvaluationsAblation
from search.ablations.searches import BEST
from search.ablations.searches import FEASIBLE
from search.ablations.searches import OPERATIONS
from search.ablations.searches import TEST
from search.ablations.searches import VIOLATION
from search.ablations.searches import SearchAblation
from search.comparison.contrasts import against
from search.strategies.ddpg import AMC_OPTIONS

AS_PROPOSED: Final = ("budget.projection=false", "budget.tightenings=0")
"""Proposals as they are, results as they come: what the reward does is then all there is."""

_AGENTS: Final = {
    "as it is": (),
    "little noise": ("strategy.options.noise_start=0.2",),
    "warm-up 10": ("strategy.options.warmup=10",),
    "warm-up 50": ("strategy.options.warmup=50",),
    "no one-hot": ("strategy.options.one_hot=false",),
    "no history": ("strategy.options.history=false",),
    "one walk": ("strategy.options.walks=1",),
    "neither": ("strategy.options.history=false", "strategy.options.walks=1"),
    "no ranks": ("strategy.options.rank_power=null",),
    "one update a step": ("strategy.options.updates_per_step=1",),
}
AGENT: Final = AgentAblation(
    variants={
        **_AGENTS,
        **{f"{count} episodes": (f"strategy.evaluations={count}",) for count in (200, 400)},
        "AMC's settings, 400 episodes": (
            "strategy.evaluations=400",
            *(f"strategy.options.{key}={'null' if value is None else value}" for key, value in AMC_OPTIONS.items()),
        ),
        **{f"random, {count}": ("strategy=random", f"strategy.evaluations={count}") for count in (200, 400)},
    },
    references={
        **against("as it is", _AGENTS),
        "200 episodes": "random, 200",
        "400 episodes": "random, 400",
        "AMC's settings, 400 episodes": "400 episodes",
    },
    shared=("strategy=ddpg",),
    note=("'neither' is without history and with one walk. Searches of other lengths are held against ones as long."),
)

_CRITERIA: Final = {name: (f"space.criterion={name}",) for name in ("l1", "bn_gamma", "activity", "taylor", "random")}
CRITERION: Final = SearchAblation(
    variants=_CRITERIA,
    references=against("random", _CRITERIA),
    shared=("strategy=cmaes",),
)

EVALUATIONS: Final = EvaluationsAblation.of(strategies=("random", "cmaes", "ddpg"), counts=(10, 25, 50, 100, 200, 400))

FIRST_LAYER: Final = SearchAblation(
    variants={name: (f"synops.first_layer={name}",) for name in ("apart", "add")},
    references={"add": "apart"},
    shared=("strategy=cmaes",),
    measures=(BEST, TEST, OPERATIONS),
    note=(
        "'apart': the first layer does not count in the budget; 'add': it does. The budget is the same share of what "
        "counts, so that SynOps are comparable only as operations of all layers."
    ),
)

PIECES: Final = SearchAblation(
    variants={
        f"{strategy}{lre}{tar}": (f"strategy={strategy}", f"estimator.name={estimator}", f"reward.form={form}")
        for strategy in ("ddpg", "cmaes", "random")
        for lre, estimator in ((" + LRE", "linear"), ("", "identity"))
        for tar, form in ((" + TAR", "linear"), ("", "plain"))
        if strategy != "random" or form == "plain"  # random search takes no notice of a reward
    },
    references={
        **{
            f"{strategy}{left}": f"{strategy} + LRE + TAR"
            for strategy in ("ddpg", "cmaes")
            for left in (" + LRE", " + TAR", "")
        },
        "random": "random + LRE",
    },
    shared=AS_PROPOSED,
    measures=(VIOLATION, TEST, FEASIBLE),
    note=(
        "Proposals are taken as they are, not bent onto the budget, and results are not tightened. Without LRE, SynOps "
        "are taken to stay as they are before fine-tuning, without a margin, so that more networks seem to be within "
        "the budget: what tells is how far results lie above it. Without TAR, the reward is accuracy alone; of the "
        "networks that seem to be within the budget the most accurate is fine-tuned. Late proposals within the budget "
        "are counted by the bound that a search has: with and without LRE they are not of the same thing."
    ),
)

_BATCHES: Final = (0, 1, 2, 5, 10, 20, 50, 100)
_RECALIBRATIONS: Final = {f"{count}": (f"space.recalibration_batches={count}",) for count in _BATCHES}
_IMAGES: Final = 11
RECALIBRATION: Final = SearchAblation(
    variants=_RECALIBRATIONS,
    references=against("100", _RECALIBRATIONS),
    shared=("strategy=cmaes", f"space.recalibration_batch_size={_IMAGES}"),
    note=(
        f"Batches of {_IMAGES} training images, so that the embedded digits have a hundred of them; elsewhere searches "
        "take 8 batches of 128."
    ),
)

_FORMS: Final = {
    **{f"linear {beta:g}": ("reward.form=linear", f"reward.beta={beta}") for beta in (0.3, 1.0, 3.0, 10.0)},
    **{form: (f"reward.form={form}",) for form in ("two-sided", "replace", "cliff", "power", "amc-log")},
}
REWARD: Final = SearchAblation(
    variants={
        **_FORMS,
        "accuracy alone": ("reward.form=plain",),
        "projection": ("budget.projection=true",),
        "hard constraint (tpe)": ("strategy=tpe", "reward.form=plain"),
        "projection (tpe)": ("strategy=tpe", "budget.projection=true"),
    },
    references={
        **against("accuracy alone", _FORMS),
        "projection": "linear 3",
        "projection (tpe)": "hard constraint (tpe)",
    },
    shared=("strategy=ddpg", *AS_PROPOSED),
    measures=(BEST, FEASIBLE),
    note=(
        "Proposals are taken as they are, but for 'projection', which bends them onto the budget; results are not "
        "tightened. linear, two-sided, replace, cliff, power and amc-log are forms of the reward (search/reward.py), "
        "and the number behind linear is its beta. All but TPE's are DDPG, or the strategy that was asked for; TPE is "
        "told which networks are beyond the budget and never proposes by their accuracy. Our agent learns from the "
        "order of rewards alone, so that forms which order networks alike are one search."
    ),
)

TIME_STEPS: Final = SearchAblation(
    variants={
        f"{strategy} at T = {steps}": (f"strategy={strategy}", f"network.time_steps={steps}")
        for steps in (1, 2, 4, 8)
        for strategy in ("random", "cmaes", "ddpg")
    },
    references={
        f"{strategy} at T = {steps}": f"random at T = {steps}"
        for steps in (1, 2, 4, 8)
        for strategy in ("cmaes", "ddpg")
    },
    note="Each T has dense networks and estimators of its own; search.ablate estimator-transfer has more of them.",
)
