"""Scikit-learn's handwritten digits as a moving event camera would see them: recordings that need no download.

Source: images, see :mod:`datamodules.digits`; camera, see :mod:`datamodules._saccades`.
"""

import functools
import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from datamodules._saccades import saccade_events
from datamodules.digits import DigitsDataModule
from datamodules.digits import read_digits
from datamodules.events import EventDataModule
from datamodules.events import Source
from datamodules.recordings import Recording


class DigitsEventsDataModule(EventDataModule):
    """Ten digits, 1,797 recordings of 0.3 s from a sensor of 16 x 16 pixels, with about 640 to 1,120 events each.

    A seed puts the same images into the test split as in :class:`~datamodules.digits.DigitsDataModule`.
    """

    name = "digits_events"
    num_classes = 10
    sensor_HW = (16, 16)
    version = "1"  # raise it when the camera comes to see something else
    split_policy = DigitsDataModule.split_policy

    def sources(self, *, test: bool) -> list[Source]:
        """List the images of a split; they are shown to the camera, all at once, when the first one is read."""
        digits = read_digits(self.seed, test=test)
        simulated = functools.cache(lambda: saccade_events(digits.images_NHW))
        return [
            Source(
                name=f"image {row}",
                label=int(label),
                digest=hashlib.sha256(image_HW.tobytes()).hexdigest(),
                read=functools.partial(_recording, simulated, position),
            )
            for position, (row, image_HW, label) in enumerate(zip(*digits, strict=True))
        ]


def _recording(simulated: Callable[[], list[NDArray[np.void]]], position: int) -> Recording:
    return Recording(simulated()[position], DigitsEventsDataModule.sensor_HW)
