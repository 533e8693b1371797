"""Random shifts and mirror images of a whole batch in one gather, on the batch's own device.

Axes: B batch, C channels, H rows, W columns.
"""

import torch
from torch import Tensor


def random_crop(x_BCHW: Tensor, black_C: Tensor, *, padding: int, flip: bool) -> Tensor:
    """Pad, crop every image at its own random place, and mirror about half of them.

    Draws from the default generator of the batch's device: three numbers an image, also without ``flip``.

    Args:
        x_BCHW: Images.
        black_C: Value of the border, by channel (a normalised black is not zero).
        padding: Border on each side, in pixels; rows and columns shift by -padding .. padding, each apart.
        flip: Mirror left and right with probability one half.

    Returns:
        New images of the same shape, dtype and device.

    Source:
        Usual for CIFAR: K. He et al., "Deep Residual Learning for Image Recognition" (2016), 4.2.
    """
    B, C, H, W = x_BCHW.shape
    device = x_BCHW.device
    top_B1, left_B1 = torch.randint(2 * padding + 1, (2, B, 1), device=device)
    mirrored_B1 = torch.rand(B, 1, device=device) < (0.5 if flip else 0.0)

    row_H = torch.arange(H, device=device)
    column_W = torch.arange(W, device=device)
    row_BH = row_H + top_B1
    column_BW = torch.where(mirrored_B1, W - 1 - column_W, column_W) + left_B1

    padded_BCHW = black_C.view(C, 1, 1).repeat(B, 1, H + 2 * padding, W + 2 * padding)
    padded_BCHW[:, :, padding : padding + H, padding : padding + W] = x_BCHW
    index_BHW = row_BH.unsqueeze(2) * (W + 2 * padding) + column_BW.unsqueeze(1)
    index_BCL = index_BHW.view(B, 1, H * W).expand(B, C, H * W)
    return padded_BCHW.flatten(2).gather(2, index_BCL).view(B, C, H, W)
