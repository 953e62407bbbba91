"""Print what a 4096x4096 image in windows of 1024 adds to the memory, as JSON in MB.

python -m tests.inference_memory
"""

import json
import time

import numpy as np

import keras_danet
from keras_danet.inference import segment
from tests.attention_memory import peak_of


def cost_of(function):
    """(growth of the peak resident memory in MB, seconds) of one call."""
    start = time.time()
    return peak_of(function), time.time() - start


def main():
    model = keras_danet.DFDAM(19, "resnet_18")
    image = np.random.default_rng(0).integers(0, 256, (4096, 4096, 3), "uint8")
    corner = image[:1024, :1024]
    segment(model, corner)  # libraries and threads start here
    window, seconds = cost_of(lambda: segment(model, corner))
    peaks = {"one window": window, "one window, seconds": seconds}
    for protocol in ("mmseg", "official"):
        settings = {"window": 1024, "stride": 1024, "protocol": protocol}
        peak, seconds = cost_of(lambda s=settings: segment(model, image, **s))
        peaks |= {protocol: peak, f"{protocol}, seconds": seconds}
    peaks["probabilities"] = 4096 * 4096 * 19 * 4 / 2**20
    print(json.dumps({name: round(value, 1) for name, value in peaks.items()}))


if __name__ == "__main__":
    main()
