"""A proof: the exported SavedModel's answers on real images are the model's.

    python -m tests.export_agreement MODEL.keras IMAGES [--count 4]

Exports the model, loads it as a C++ server does, and compares logits and labels at five
sizes on the first images of a folder. A tie is a pixel whose two largest logits differ
by less than 1e-3; there either label is right.
"""

import argparse
import io
import tempfile
from pathlib import Path

import keras
import numpy as np
from PIL import Image

import keras_danet
from tests.serving import Served

SIZES = ((360, 480), (512, 512), (181, 243), (720, 960), (96, 333))


def compare(model, served, image):
    """(largest difference of logits, differing labels without ties, ties, pixels)."""
    batch = image[None].astype("float32")
    logits = model.predict_on_batch(batch)
    exported = served.run("predict_logits", images=batch)["logits"]
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    answer = served.run("image_bytes", image_bytes=[file.getvalue()])
    labels = np.asarray(Image.open(io.BytesIO(answer["label_png"][0])))
    second, first = np.moveaxis(np.sort(logits[0], axis=-1)[..., -2:], -1, 0)
    tie = first - second < 1e-3
    differing = (labels != logits[0].argmax(-1)) & ~tie
    off = float(np.abs(logits - exported).max())
    return off, int(differing.sum()), int(tie.sum()), labels.size


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--count", type=int, default=4)
    arguments = parser.parse_args()
    model = keras.saving.load_model(arguments.model, compile=False)
    files = sorted(arguments.images.glob("*.jpg"))[: arguments.count]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model" / "1"
        print("report:", keras_danet.export_model(model, path))
        size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
        print(f"bytes / parameters' bytes: {size / 4 / model.count_params():.4f}")
        served = Served(path)
        print("| size | logits, largest difference | labels that differ | ties |")
        print("|---|---|---|---|")
        for height, width in SIZES:
            pictures = [Image.open(file).resize((width, height)) for file in files]
            found = [compare(model, served, np.asarray(p)) for p in pictures]
            off, differing, ties, pixels = zip(*found, strict=True)
            print(
                f"| {height}x{width} | {max(off):.2g} | {sum(differing)} "
                f"| {sum(ties) / sum(pixels):.3%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
