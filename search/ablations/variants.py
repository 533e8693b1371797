"""Which settings each ablation of searches compares."""

from typing import Final

from search.ablations.searches import SearchAblation

OFF_THE_SURFACE: Final = ("strategy=ddpg", "budget.projection=false", "budget.tightenings=0")
"""Proposals as they are, results as they come: what the reward does is then all there is."""

AGENT: Final = SearchAblation(
    "agent",
    "Which parts of our DDPG agent matter, and when is it stable?",
    {
        "as it is": (),
        "AMC's settings": (
            "strategy.options.noise_floor=0.0",
            "strategy.options.noise_decay=0.95",
            "strategy.options.hidden=300",
            "strategy.options.actor_lr=1e-4",
            "strategy.options.updates_per_step=1",
            "strategy.options.replay_episodes=100",
            "strategy.options.rank_power=null",
            "strategy.options.one_hot=false",
            "strategy.options.history=false",
            "strategy.options.walks=1",
        ),
        "little noise": ("strategy.options.noise_start=0.2",),
        "warm-up 10": ("strategy.options.warmup=10",),
        "warm-up 50": ("strategy.options.warmup=50",),
        "no one-hot": ("strategy.options.one_hot=false",),
        "no history": ("strategy.options.history=false",),
        "one walk": ("strategy.options.walks=1",),
        "neither": ("strategy.options.history=false", "strategy.options.walks=1"),
        "no ranks": ("strategy.options.rank_power=null",),
        "one update a step": ("strategy.options.updates_per_step=1",),
        "200 episodes": ("strategy.evaluations=200",),
        "400 episodes": ("strategy.evaluations=400",),
    },
    reference="as it is",
    shared=("strategy=ddpg",),
)

CRITERION: Final = SearchAblation(
    "criterion",
    "Does it matter which channels of a layer go first?",
    {name: (f"space.criterion={name}",) for name in ("l1", "bn_gamma", "activity", "taylor", "random")},
    reference="random",
    shared=("strategy=cmaes",),
)

EVALUATIONS: Final = SearchAblation(
    "evaluations",
    "How many evaluations are enough?",
    {
        f"{strategy} {count}": (f"strategy={strategy}", f"strategy.evaluations={count}")
        for strategy in ("random", "cmaes", "ddpg")
        for count in (10, 25, 50, 100, 200, 400)
    },
    reference="random 100",
)

FIRST_LAYER: Final = SearchAblation(
    "first-layer",
    "Does it matter whether the first layer counts?",
    {name: (f"synops.first_layer={name}",) for name in ("apart", "add")},
    reference="apart",
    shared=("strategy=cmaes",),
)

PIECES: Final = SearchAblation(
    "pieces",
    "What do LRE and TAR add, each and together?",
    {
        f"{strategy}{lre}{tar}": (f"strategy={strategy}", f"estimator.name={estimator}", f"reward.form={form}")
        for strategy in ("ddpg", "cmaes", "random")
        for lre, estimator in ((" + LRE", "linear"), ("", "identity"))
        for tar, form in ((" + TAR", "linear"), ("", "plain"))
    },
    reference="ddpg + LRE + TAR",
    shared=OFF_THE_SURFACE[1:],
    note=(
        "Proposals are taken as they are, not bent onto the budget. Without LRE, SynOps are taken to stay as they are "
        "before fine-tuning; without TAR, the reward is accuracy alone."
    ),
)

RECALIBRATION: Final = SearchAblation(
    "recalibration",
    "How many batches must batch norms see anew?",
    {f"{count}": (f"space.recalibration_batches={count}",) for count in (0, 1, 2, 5, 10, 20, 50, 100)},
    reference="20",
    shared=("strategy=cmaes", "space.recalibration_batch_size=11"),
)

REWARD: Final = SearchAblation(
    "reward",
    "What does the target-aware reward add, and which form?",
    {
        **{f"linear {beta:g}": ("reward.form=linear", f"reward.beta={beta}") for beta in (0.3, 1.0, 3.0, 10.0)},
        **{form: (f"reward.form={form}",) for form in ("two-sided", "replace", "cliff", "power", "amc-log")},
        "none": ("reward.form=plain",),
        "projection": ("budget.projection=true",),
        "hard constraint (tpe)": ("strategy=tpe", "reward.form=plain"),
        "linear (tpe)": ("strategy=tpe", "reward.form=linear"),
    },
    reference="linear 3",
    shared=OFF_THE_SURFACE,
    note=(
        "Proposals are taken as they are, not bent onto the budget, but for 'projection', which is the usual search. "
        "linear, two-sided, replace, cliff, power and amc-log are forms of the reward (search/reward.py), the number "
        "behind linear is its beta, and none is accuracy alone. All are DDPG but for TPE's: 'hard constraint' tells it "
        "which networks are infeasible, and its reward is accuracy alone."
    ),
)

TIME_STEPS: Final = SearchAblation(
    "time-steps",
    "Does all this hold for other numbers of time steps?",
    {
        f"{strategy} at T = {steps}": (f"strategy={strategy}", f"network.time_steps={steps}")
        for steps in (1, 2, 4, 8)
        for strategy in ("random", "cmaes", "ddpg")
    },
    reference="random at T = 4",
)
