"""1,000 hostile requests to one SavedModel: the right outcome, no hang, flat memory."""

import time
from collections import Counter

import numpy as np
import pytest

import keras_danet
from tests import hostile_requests
from tests.cases import CASES
from tests.hostile import encoded, orientation, photo
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


def mutated(rng):
    """An image of any format with bytes changed, cut out, doubled or cut off."""
    picture = photo(rng)
    make = (
        lambda: encoded(picture, "JPEG", exif=orientation(6)),
        lambda: encoded(picture, "JPEG", progressive=True),
        lambda: encoded(picture, "PNG"),
        lambda: encoded(picture, "PNG", "P"),
        lambda: hostile_requests.png_16_bit_color(rng),
        lambda: encoded(picture, "GIF"),
        lambda: hostile_requests.animated_gif(rng),
        lambda: encoded(picture, "BMP"),
        lambda: encoded(picture, "BMP", "RGBA"),
    )
    data = bytearray(make[rng.integers(len(make))]())
    for _ in range(rng.integers(1, 12)):
        # Half of the changes in the header, where they do the most.
        end = min(len(data), 80) if rng.random() < 0.5 else len(data)
        at, length = int(rng.integers(4, max(end, 5))), int(rng.integers(1, 30))
        kind = rng.integers(8)
        if kind == 0:
            del data[at : at + length]
        elif kind == 1:
            data[at:at] = data[at : at + length]
        elif kind == 2:
            data[at : at + 4] = rng.choice([0, 255, 127, 128], 4).tolist()
        else:
            data[at : at + 1] = bytes([rng.integers(256)])
    return bytes(data)


def test_mutations_end_in_a_picture_or_a_reason():
    """4,000 damaged files; what is found good can be decoded to the size it claims."""
    tf = pytest.importorskip("tensorflow")
    from keras_danet.export import image_bytes

    limit = 2**16
    problem = tf.function(
        lambda contents: image_bytes.problem_of(contents, limit),
        input_signature=[tf.TensorSpec((), tf.string)],
        autograph=False,
    )
    decode = tf.function(
        image_bytes.decode, input_signature=problem.input_signature, autograph=False
    )
    rng, outcomes = np.random.default_rng(5), Counter()
    for _ in range(4000):
        data = mutated(rng)
        start = time.process_time()
        reason = problem(tf.constant(data)).numpy().decode()
        if not reason:
            height, width, channels = decode(tf.constant(data)).shape
            assert 0 < height * width <= limit and channels == 3
        assert time.process_time() - start < SECONDS
        outcomes["more than" if "more than" in reason else reason] += 1
    print()
    for reason, count in outcomes.most_common():
        print(f"| {reason or 'a picture'} | {count} |")
    assert outcomes[""] > 400 and len(outcomes) > 8
