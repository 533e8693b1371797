"""Cutout: one square of every sample set to zero, for a whole batch, on the batch's own device.

Axes: B batch, C channels (or all frames and channels of a sample), H rows, W columns.
"""

import torch
from torch import Tensor


def cut_squares(x_BCHW: Tensor, size: int) -> Tensor:
    """Set a square of every sample to zero, in all its channels.

    Its centre may lie anywhere, so that part of the square may lie outside. Draws two numbers a sample from the
    default generator of the batch's device, also for size 0.

    Args:
        x_BCHW: Samples of which zero is the mean (normalised images), or nothing at all (counts of events).
        size: Side of the square, in pixels; 0: none.

    Returns:
        A new batch of the same shape, dtype and device.

    Source:
        T. DeVries, G. Taylor, "Improved regularization of convolutional neural networks with cutout" (2017).
    """
    B, _, H, W = x_BCHW.shape
    device = x_BCHW.device
    uniform_2B1 = torch.rand(2, B, 1, device=device)
    top_B1 = (uniform_2B1[0] * H).long() - size // 2
    left_B1 = (uniform_2B1[1] * W).long() - size // 2
    row_H, column_W = torch.arange(H, device=device), torch.arange(W, device=device)
    in_rows_BH = (row_H >= top_B1) & (row_H < top_B1 + size)
    in_columns_BW = (column_W >= left_B1) & (column_W < left_B1 + size)
    return x_BCHW.masked_fill((in_rows_BH.unsqueeze(2) & in_columns_BW.unsqueeze(1)).unsqueeze(1), 0)
