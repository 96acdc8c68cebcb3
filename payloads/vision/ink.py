"""An image as ink: 0 is ground, 255 the strongest stroke, whether it was written dark on light or light on dark.

Training and serving both pass through here, so that the models never see a polarity or a contrast that they were not
trained on.
"""

from __future__ import annotations

import numpy as np

# A blank sheet must stay blank: without a floor its faint grain would be stretched to full strokes.
LEAST_CONTRAST = 48
# The strongest thousandth may be glints and dead pixels.
STRONGEST = 0.999


def ink(grey: np.ndarray) -> np.ndarray:
    """Distance of each pixel from the image's median, stretched: uint8 [height, width] of the same shape.

    By a table of 256 entries, so the cost of a large image is that of counting it and looking it up.
    """
    counts = np.bincount(grey.ravel(), minlength=256)
    ground = int(np.searchsorted(counts.cumsum(), grey.size / 2))
    distance = np.abs(np.arange(256) - ground)
    by_distance = np.bincount(distance, weights=counts, minlength=256)
    strongest = int(np.searchsorted(by_distance.cumsum(), STRONGEST * grey.size))
    table = np.minimum(distance * 255 // max(strongest, LEAST_CONTRAST), 255).astype(np.uint8)
    return table[grey]
