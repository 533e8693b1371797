"""What pruners measure with: a few training batches, and what counts as a SynOp."""

import copy
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

from spikingjelly.activation_based import functional
from torch import Tensor
from torch import nn

from lightning_snn._made_weights import check_copyable
from lightning_snn._synops_report import AnalogHidden
from lightning_snn._synops_report import FirstLayer
from lightning_snn._synops_report import SynOpsReport
from lightning_snn.errors import PruningError
from lightning_snn.errors import SurgeryError
from lightning_snn.recalibration import recalibrate_batch_norm_
from lightning_snn.surgery import ChannelPlan
from lightning_snn.synops import measure_synops

PRECISION = 1e-3
"""Share of all weights or channels up to which a search for their number is carried. Ours."""


@dataclass(frozen=True)
class Bench:
    """Training data to calibrate with, and how SynOps are counted; validation and test data are not in it."""

    batches: Sequence[Tensor]
    """Training inputs ``[T, B, C, H, W]``, varied as in training, on the device where networks run."""
    example: Tensor
    """One input ``[T, 1, C, H, W]`` on the CPU, to trace channels with."""
    seed: int
    dense_synops: float
    """SynOps per sample of the dense network on these batches: what targets are shares of."""
    first_layer: FirstLayer = "apart"
    analog_hidden: AnalogHidden = "add"

    @classmethod
    def of(
        cls,
        dense: nn.Module,
        *,
        batches: Sequence[Tensor],
        example: Tensor,
        seed: int,
        first_layer: FirstLayer = "apart",
        analog_hidden: AnalogHidden = "add",
    ) -> "Bench":
        """Measure the dense network, batch norms measured anew, and return what measures others beside it.

        Raises:
            PruningError: If it hardly spikes: targets are shares of its SynOps.
        """
        bench = cls(batches, example, seed, 0.0, first_layer, analog_hidden)
        report = bench.report(dense)
        refuse_silent(report)
        return replace(bench, dense_synops=report.total)

    def synops(self, network: nn.Module) -> float:
        """Return the SynOps per sample of a network, as a copy with batch norms measured anew has them."""
        return self.report(network).total

    def report(self, network: nn.Module) -> SynOpsReport:
        """Return all operations of such a copy."""
        return measure_synops(
            self.recalibrated(network), self.batches, first_layer=self.first_layer, analog_hidden=self.analog_hidden
        )

    def recalibrated(self, network: nn.Module) -> nn.Module:
        """Return a copy of a network, on the device of the data, with batch norms measured anew."""
        check_copyable(network)
        functional.reset_net(network)  # the state that a training leaves cannot be copied
        fresh = copy.deepcopy(network).to(self.batches[0].device)
        recalibrate_batch_norm_(fresh, self.batches)
        return fresh

    def plan(self, network: nn.Module) -> ChannelPlan:
        """Return the channels of a network that can be removed.

        Raises:
            SurgeryError: If there are none, or they cannot be followed.
        """
        plan = ChannelPlan.trace(network.cpu(), self.example)
        if not plan.groups:
            raise SurgeryError(plan.why_empty(network))
        return plan


def refuse_silent(report: SynOpsReport) -> None:
    """Refuse a dense network that hardly spikes on training data: there would be no share of it to keep.

    Raises:
        PruningError: If it does.
    """
    too_little = report.too_little()
    if too_little is not None:
        raise PruningError(
            f"The dense network hardly spikes on training data: {too_little}. That is too little to prune a share of; "
            "train it longer (training.epochs; batch norms settle over dozens of batches), or lower its threshold."
        )


def largest_count(low: int, high: int, fits: Callable[[int], bool]) -> int:
    """Return about the largest count that fits, if all smaller ones do: by bisection, to :data:`PRECISION`.

    Args:
        low: Fewest; taken where nothing fits.
        high: Most.
        fits: Whether a count is within the budget.
    """
    if fits(high):
        return high
    step = max(1, round(PRECISION * high))
    while high - low > step:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low
