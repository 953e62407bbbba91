"""Print the peak memory in MB that a whole DANet-50 adds, as JSON.

python -m tests.network_memory train    two 768x768 crops: two steps of `fit`
python -m tests.network_memory predict  one 1024x2048 image

A process of its own; weights and libraries are there before, after a small image.
"""

import json
import sys

import keras
import numpy as np

import keras_danet
from tests.attention_memory import peak_of, resident


def train(model, size, batch_size):
    image = np.zeros((batch_size, *size, 3), "uint8")
    label = np.zeros((batch_size, *size), "uint8")
    losses = model.fit(image, label, batch_size, epochs=2, verbose=0).history["loss"]
    if not np.isfinite(losses).all():
        raise RuntimeError(f"The loss is no number. Received: {losses}")


def predict(model, size, batch_size):
    model.predict(np.zeros((batch_size, *size, 3), "uint8"), verbose=0)


CASES = {"train": (train, (768, 768), 2), "predict": (predict, (1024, 2048), 1)}


def main():
    function, size, batch_size = CASES[sys.argv[1]]
    model = keras_danet.DANet(19, "resnet_50")
    model.compile()
    function(model, (64, 64), batch_size)
    added = peak_of(lambda: function(model, size, batch_size))
    found = {"added": added, "process": resident("VmHWM")}
    rounded = {name: round(value) for name, value in found.items()}
    print(json.dumps({"backend": keras.backend.backend(), **rounded}))


if __name__ == "__main__":
    main()
