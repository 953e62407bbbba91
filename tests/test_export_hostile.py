"""1,000 hostile requests to one SavedModel: the right outcome, no hang, flat memory."""

import time
from collections import Counter

import numpy as np
import pytest

import keras_danet
from tests.cases import CASES
from tests.hostile import encoded, photo
from tests.hostile_requests import ANYTHING, REQUESTS, SEGMENTED

pytestmark = [pytest.mark.once, pytest.mark.proof]

SECONDS = 10  # of processor time, so that other programs do not count


def resident():
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def requests(count):
    """(category, expected, files): one file, every third time between good ones."""
    rng = np.random.default_rng(17)
    names = list(REQUESTS)
    for number in range(count):
        expected, make = REQUESTS[names[number % len(names)]]
        good = [encoded(photo(rng), f) for f in ("JPEG", "PNG")]
        files = [good[0], make(rng), good[1]] if number % 3 == 0 else [make(rng)]
        yield names[number % len(names)], expected, files


def outcome_of(served, files):
    import tensorflow as tf

    start = time.process_time()
    try:
        answer = served.run("image_bytes", image_bytes=files)
        outcome, message = "segmented", ""
        assert len(answer["label_png"]) == len(files)
    except tf.errors.InvalidArgumentError as error:
        outcome, message = "refused", error.message
        assert f"image {len(files) // 2}: " in message
        assert f"1 of {len(files)} images" in message
    assert time.process_time() - start < SECONDS
    return outcome, message


def test_a_thousand(tmp_path):
    serving = pytest.importorskip("tests.serving")
    keras_danet.export_model(CASES["danet"].build(), tmp_path / "1")
    served = serving.Served(tmp_path / "1")
    # oneDNN, in TensorFlow, keeps what it prepared for each size of image, up to 1024
    # such things; only after that many can memory be flat.
    for _, _, files in requests(500):
        outcome_of(served, files)
    before, outcomes = resident(), Counter()
    for name, expected, files in requests(1000):
        outcome, message = outcome_of(served, files)
        if expected == SEGMENTED:
            assert outcome == "segmented", (name, message)
        elif expected is not ANYTHING:
            assert outcome == "refused" and expected in message, (name, message)
        outcomes[name, outcome] += 1
    after = resident()
    print(f"\nresident: {before / 2**20:.0f} MiB before, {after / 2**20:.0f} MiB after")
    for (name, outcome), count in outcomes.items():
        print(f"| {name} | {count} | {outcome} |")
    assert abs(after - before) <= 0.05 * before
