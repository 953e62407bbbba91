"""Print what loading a checkpoint adds to the process's memory at most, in MB.

python -m tests.checkpoint_memory FILE

A process of its own, after the imports: what torch and Keras take is not counted.
"""

import json
import sys
import time
from pathlib import Path

import keras_hub  # noqa: F401
import torch  # noqa: F401

import keras_danet
from tests.attention_memory import resident


def main():
    path = Path(sys.argv[1])
    before, start = resident("VmRSS"), time.time()
    keras_danet.from_checkpoint(path)
    found = {
        "peak": resident("VmHWM") - before,
        "file": path.stat().st_size / 2**20,
        "seconds": time.time() - start,
    }
    print(json.dumps({name: round(value, 1) for name, value in found.items()}))


if __name__ == "__main__":
    main()
