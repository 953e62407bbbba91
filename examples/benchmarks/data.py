"""Images a second of `data.prepare` against albumentations in a PyTorch DataLoader.

    pip install albumentations opencv-python-headless torch
    python examples/benchmarks/data.py

Both read the same files (drawn here: PNG frames of 1024x2048 with a label PNG, JPEG
pictures of 375x500 with a label PNG), scale them by 0.5 to 2, cut crops of 768 and 512
with void padding, mirror half of them and give shuffled batches of 4. `prepare` may use
two cores, the DataLoader has two workers.

Measured 2026-11-20 (--seconds 12, best of 3; 2 cores of a shared AMD EPYC virtual
machine on which other work ran, load 8 to 10, so that the rates are low for both;
TensorFlow 2.21, albumentations 2.0.8, OpenCV 5.0.0, PyTorch 2.13):

    images/s (CPU ms/image)          keras_danet      albumentations
    1024x2048 png -> 768             10.7 (34.5)          8.3 (47.8)
    375x500 jpg -> 512               253.2 (2.7)         206.7 (3.2)
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import psutil
from PIL import Image

BATCH = 4
MEAN = (124, 116, 104)
CASES = {"1024x2048 png -> 768": ((1024, 2048), ".png", 768)}
CASES["375x500 jpg -> 512"] = (375, 500), ".jpg", 512


def write_files(root, size, suffix, count):
    """Files of street scenes, as large as a camera's."""
    from keras_danet.data.synthetic import draw_scene

    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
    for index in range(count):
        image, label = draw_scene(0, index, size)
        Image.fromarray(image).save(root / "images" / f"{index}{suffix}", quality=90)
        Image.fromarray(label).save(root / "labels" / f"{index}.png")


def prepared(root, crop):
    from keras_danet import data

    dataset = data.from_folder(root / "images", root / "labels")
    return data.prepare(dataset, BATCH, crop, training=True)


def loaded(root, crop):
    """The same with albumentations in a DataLoader of two worker processes."""
    import albumentations
    import cv2
    import torch

    steps = [
        albumentations.RandomScale((-0.5, 1.0), p=1),
        albumentations.PadIfNeeded(
            crop, crop, position="top_left", fill=MEAN, fill_mask=255
        ),
        albumentations.RandomCrop(crop, crop),
        albumentations.HorizontalFlip(p=0.5),
    ]
    transform = albumentations.Compose(steps)

    class Files(torch.utils.data.Dataset):
        def __init__(self):
            cv2.setNumThreads(0)
            self.images = sorted((root / "images").iterdir())
            self.labels = sorted((root / "labels").iterdir())

        def __len__(self):
            return 10**6

        def __getitem__(self, index):
            index %= len(self.images)
            image = cv2.imread(str(self.images[index]))
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            label = cv2.imread(str(self.labels[index]), cv2.IMREAD_UNCHANGED)
            example = transform(image=image, mask=label)
            return example["image"], example["mask"]

    return torch.utils.data.DataLoader(
        Files(), BATCH, shuffle=True, num_workers=2, drop_last=True
    )


def measure(batches, seconds):
    """(images a second, CPU milliseconds an image), once the pipeline is at its pace.

    CPU time counts worker processes, too, and tells the same on a busy machine.
    """
    batches = iter(batches)
    for _ in range(8):
        next(batches)
    count, start, work = 0, time.perf_counter(), cpu_seconds()
    while time.perf_counter() - start < seconds:
        image, label = next(batches)
        count += len(label)
    elapsed = time.perf_counter() - start
    return count / elapsed, (cpu_seconds() - work) / count * 1000


def cpu_seconds():
    process = psutil.Process()
    return sum(
        sum(p.cpu_times()[:2]) for p in (process, *process.children(recursive=True))
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="per measurement")
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3, help="the best one counts")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    contenders = {"keras_danet": prepared, "albumentations": loaded}
    print(f"{'images/s (CPU ms/image)':24}" + "".join(f"{n:>20}" for n in contenders))
    for case, (size, suffix, crop) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder), size, suffix, arguments.files)
            measured = {name: [] for name in contenders}
            for _ in range(arguments.rounds):
                for name, make in contenders.items():
                    batches = make(Path(folder), crop)
                    measured[name].append(measure(batches, arguments.seconds))
        best = (f"{max(m)[0]:.1f} ({max(m)[1]:.1f})" for m in measured.values())
        print(f"{case:24}" + "".join(f"{text:>20}" for text in best), flush=True)


if __name__ == "__main__":
    main()
