"""Network Slimming's cut, without its training: one global threshold on the batch-norm scales of the dense network.

Liu et al., "Learning efficient convolutional networks through network slimming" (ICCV 2017), compare ``|gamma|`` of
all layers as they are. Theirs were trained under an L1 penalty; here they are those of the dense network that all
strategies share, trained without it. Ours: the threshold is where predicted SynOps meet the budget, and tied channels
rank by the mean over their layers. ``conf/strategy/slimming.yaml`` sets the criterion.
"""

from search.space import SearchContext
from search.strategies._ranking import cut_to_budget
from search.strategies._ranking import mean_over_layers
from search.strategies._rule import RuleSampler
from search.strategies._rule import need_context


def build(*, seed: int, context: SearchContext | None = None) -> RuleSampler:
    """Return a sampler with one proposal; the scores of the context are those of the criterion ``bn_gamma``."""
    known = need_context(context, "slimming")
    return RuleSampler(cut_to_budget(known, mean_over_layers(known)), seed)
