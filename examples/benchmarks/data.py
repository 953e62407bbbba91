"""Images a second of `data.prepare` against albumentations in a PyTorch DataLoader.

    pip install albumentations opencv-python-headless torch
    python examples/benchmarks/data.py

Both read the same files (drawn here: PNG frames of 1024x2048 with a label PNG, JPEG
pictures of 375x500 with a label PNG), scale them by 0.5 to 2, cut crops of 768 and 512
with void padding, mirror half of them and give shuffled batches of 4. `prepare` may use
two cores, the DataLoader has two workers.

Writes OUTPUT.md and OUTPUT.json; what was measured lies in results/data.md. On a busy
machine the CPU milliseconds an image tell more than the rate.
"""

import argparse
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import psutil
from measure import machine, markdown, write_record
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


def compare(case, files, rounds, seconds):
    """One row per contender, of its best round; they take turns."""
    size, suffix, crop = CASES[case]
    contenders = {"keras_danet": prepared, "albumentations": loaded}
    measured = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), size, suffix, files)
        for _ in range(rounds):
            for name, make in contenders.items():
                measured[name].append(measure(make(Path(folder), crop), seconds))
    return [
        {
            "case": case,
            "by": name,
            "images/s": max(rate for rate, _ in found),
            "CPU ms/image": min(work for _, work in found),
            "rounds": found,
        }
        for name, found in measured.items()
    ]


def write(output, rows, seconds):
    packages = "tensorflow", "torch", "albumentations", "opencv-python-headless"
    title = f"{machine()}; " + ", ".join(f"{p} {version(p)}" for p in packages)
    load = f"load {os.getloadavg()[1]:.1f} of other work and this"
    rounds = len(rows[0]["rounds"])
    how = f"best of {rounds} rounds of {seconds:.0f} s, {load}, {time.strftime('%F')}"
    shown = [{k: v for k, v in row.items() if k != "rounds"} for row in rows]
    text = f"{title}; {how}\n\n{markdown(shown)}\n"
    print(text)
    record = {"machine": title, "how": how, "rows": rows}
    write_record(output, text, record)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("data"))
    parser.add_argument("--seconds", type=float, default=20, help="per measurement")
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3, help="the best one counts")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    rows = [
        row
        for case in CASES
        for row in compare(case, arguments.files, arguments.rounds, arguments.seconds)
    ]
    write(arguments.output, rows, arguments.seconds)


if __name__ == "__main__":
    main()
