"""SCA's cut, once and without its training: one global threshold on the activity of the dense network's channels.

Li et al., "Towards efficient deep spiking neural networks construction with spiking activity based pruning" (ICML
2024), rank the channels of all layers together by spikes plus absolute membrane potential, in every epoch, and regrow
some. Here the dense network is ranked once, and nothing regrows. Ours: the threshold is where predicted SynOps meet
the budget, and tied channels rank by the mean over their layers. ``conf/strategy/sca.yaml`` sets the criterion.
"""

from search.space import SearchContext
from search.strategies._ranking import cut_to_budget
from search.strategies._ranking import mean_over_layers
from search.strategies._rule import RuleSampler
from search.strategies._rule import need_context


def build(*, seed: int, context: SearchContext | None = None) -> RuleSampler:
    """Return a sampler with one proposal; the scores of the context are those of the criterion ``activity``."""
    known = need_context(context, "sca")
    return RuleSampler(cut_to_budget(known, mean_over_layers(known)), seed)
