"""A random N of M, drawn without replacement in proportion to weights, and a relaxation that has a gradient.

    hard = the N highest of  a_1 = logits + Gumbel noise
    p_k = softmax(a_k / tau),   a_{k+1} = a_k + log(1 - p_k),   soft = min(1, p_1 + ... + p_N)

The hard subset has the law of N draws without replacement from softmax(logits) (the Gumbel top-k trick). The soft one
is the relaxation of Xie and Ermon, "Reparameterizable subset sampling via continuous relaxations" (IJCAI 2019). That
SpikeNM is built on these two is ours: its paper could not be read.

Axes: R blocks, M weights of a block.
"""

import torch
from torch import Tensor

LEAST = 1e-6
"""Least probability that a weight is not drawn, lest its logarithm be infinite."""


def gumbel_like(logits: Tensor) -> Tensor:
    """Return independent standard Gumbel numbers from torch's default generator of the device."""
    exponential = torch.empty_like(logits).exponential_()
    return -exponential.clamp_min_(torch.finfo(logits.dtype).tiny).log_()


def relaxed_subset(scores_RM: Tensor, n: int, temperature: Tensor | float) -> Tensor:
    """Return the soft subset of each block, values in [0, 1].

    Args:
        scores_RM: Logits plus noise.
        n: Size of the subset.
        temperature: tau; towards 0 the soft subset becomes the hard one.
    """
    drawn_RM = torch.zeros_like(scores_RM)
    for _ in range(n):
        p_RM = torch.softmax(scores_RM / temperature, dim=-1)
        drawn_RM = drawn_RM + p_RM
        scores_RM = scores_RM + (1.0 - p_RM).clamp_min(LEAST).log()
    return drawn_RM.clamp_max(1.0)
