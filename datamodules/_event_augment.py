"""Mirror images, shifts and blanked squares for a whole batch of event frames, on the batch's own device.

Axes: B batch, T time steps, C channels (polarities), H rows, W columns.
"""

import torch
from torch import Tensor

from datamodules._cutout import cut_squares


def augment_frames(frames_BTCHW: Tensor, *, flip: bool, roll: int, cutout: int) -> Tensor:
    """Mirror, shift and blank every sample in its own way, all its time steps and polarities alike.

    Draws five numbers a sample from the default generator of the batch's device, whatever the options: those of one
    do not change what another does.

    Args:
        frames_BTCHW: Counts of events, of any dtype.
        flip: Mirror left and right with probability one half.
        roll: Shift by -roll .. roll pixels, rows and columns each apart; what leaves on one side comes in on the other.
        cutout: Side of the square without events, in pixels; 0: none. See :func:`~datamodules._cutout.cut_squares`.

    Returns:
        New frames of the same shape, dtype and device.

    Source:
        Y. Li et al., "Neuromorphic data augmentation for training spiking neural networks" (ECCV 2022).
    """
    B, T, C, H, W = frames_BTCHW.shape
    device = frames_BTCHW.device
    uniform_3B1 = torch.rand(3, B, 1, device=device)
    mirrored_B1 = uniform_3B1[0] < (0.5 if flip else 0.0)
    down_B1, right_B1 = (uniform_3B1[1:] * (2 * roll + 1)).long() - roll

    row_BH = (torch.arange(H, device=device) - down_B1) % H
    column_BW = (torch.arange(W, device=device) - right_B1) % W
    column_BW = torch.where(mirrored_B1, W - 1 - column_BW, column_BW)
    index_BHW = row_BH.unsqueeze(2) * W + column_BW.unsqueeze(1)
    index_BNL = index_BHW.view(B, 1, H * W).expand(B, T * C, H * W)
    moved_BNHW = frames_BTCHW.reshape(B, T * C, H * W).gather(2, index_BNL).view(B, T * C, H, W)
    return cut_squares(moved_BNHW, cutout).view(B, T, C, H, W)
