"""Whether a DANet-50 trains here as it does in PyTorch: the losses, step by step.

    KERAS_BACKEND=tensorflow python examples/benchmarks/training_parity.py \\
        --data CAMVID --output training_parity

trains mmsegmentation's DANet on a ResNetV1c-50 in PyTorch (`mmseg_danet.py` says how to
install it) and the same model here: the same random weights, the same batches of
augmented CamVid crops in the same order, the same schedule, momentum and weight decay,
the three heads' cross-entropies averaged over all pixels, as its configurations do.
Both gammas start at 0, as DANet's do.

What differs by chance is dropout and the order of float32 sums. From random weights the
latter is no trifle: PyTorch's own first gradients are 1 to 3 % away from float64's, and
losses drift apart within a few steps. So PyTorch trains twice, with another seed and
another memory layout (channels last, hence other kernels): that is the reference's own
noise. The losses of all three runs are written to
`training_parity.json` and drawn in `training_parity.png`, with running means; the table
compares how far the runs are apart.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import torch
from measure import machine, markdown, write_record
from mmseg_danet import mmseg_danet

import keras_danet
from keras_danet import data

RUNS = ("PyTorch, seed 0", "PyTorch, seed 1, channels last", "keras_danet")
LEARNING_RATE = 0.002  # from random weights the usual 0.01 blows the loss up at first
WINDOW = 20  # steps of a running mean


def fresh(classes):
    """mmsegmentation's model as a training starts with it."""
    model = mmseg_danet(classes)
    with torch.no_grad():
        for module in (model.decode_head.pam, model.decode_head.cam):
            module.gamma.scale.zero_()
    return model


class Reference:
    """mmsegmentation's model, and its generator of dropout masks."""

    def __init__(self, seed, steps, classes):
        self.layout = (torch.contiguous_format, torch.channels_last)[seed]
        self.model = fresh(classes).train().to(memory_format=self.layout)
        torch.manual_seed(seed)
        self.state = torch.get_rng_state()
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), LEARNING_RATE, momentum=0.9, weight_decay=1e-4
        )
        self.schedule = torch.optim.lr_scheduler.PolynomialLR(
            self.optimizer, steps, power=0.9
        )

    def __call__(self, image, label):
        torch.set_rng_state(self.state)
        x = torch.from_numpy(image.transpose(0, 3, 1, 2).copy())
        x = x.contiguous(memory_format=self.layout)
        losses = self.model.loss(x, _samples(label))
        total = sum(value for name, value in losses.items() if "loss" in name)
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        self.schedule.step()
        self.state = torch.get_rng_state()
        return total.item()


def _samples(label):
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    return [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.from_numpy(one.astype("int64"))[None])
        )
        for one in label
    ]


def ours(steps, classes):
    """The same model here, as a function of a batch that takes one step."""
    model = keras_danet.from_checkpoint(fresh(classes).state_dict(), preprocessing=None)
    model.compile(
        keras_danet.SGD(keras_danet.poly_decay(LEARNING_RATE, steps)),
        loss=keras_danet.CrossEntropy(average="all"),
        metrics=[],
    )

    def step(image, label):
        # Otherwise the mean over all batches since the last reset.
        model.reset_metrics()
        return float(model.train_on_batch(image, label, return_dict=True)["loss"])

    return step


def batches(folder, crop_size, batch_size, seed):
    """Normalized augmented crops and their labels, without end."""
    frames = data.camvid(folder, "train")
    mean, std = (
        np.float32([123.675, 116.28, 103.53]),
        np.float32([58.395, 57.12, 57.375]),
    )
    for image, label in data.prepare(
        frames, batch_size, crop_size=crop_size, training=True, seed=seed
    ):
        yield (np.asarray(image, "float32") - mean) / std, np.asarray(label)


def train(arguments):
    """name -> losses of each step, all runs on the same batches in turn."""
    classes = len(data.class_names("camvid"))
    steps = arguments.steps
    trainers = [Reference(seed, steps, classes) for seed in (0, 1)]
    trainers = dict(zip(RUNS, [*trainers, ours(steps, classes)], strict=True))
    losses = {name: [] for name in RUNS}
    stream = batches(arguments.data, arguments.crop_size, arguments.batch_size, 0)
    for step, (image, label) in zip(range(steps), stream, strict=False):
        for name, trainer in trainers.items():
            losses[name].append(trainer(image, label))
        if (step + 1) % 10 == 0:
            print(step + 1, {name: round(x[-1], 3) for name, x in losses.items()})
            write(arguments, losses)
    return losses


def running_mean(values):
    window = min(WINDOW, len(values))
    return np.convolve(values, np.ones(window) / window, mode="valid")


def apart(losses, first, second):
    """How far two runs are apart: mean |difference|, and that of running means."""
    a, b = np.array(losses[first]), np.array(losses[second])
    return {
        "runs": f"{first} and {second}",
        "mean |difference| of a step": float(np.abs(a - b).mean()),
        f"mean |difference| of {WINDOW}-step means": float(
            np.abs(running_mean(a) - running_mean(b)).mean()
        ),
        "difference of the last 50 steps' means": float(
            a[-50:].mean() - b[-50:].mean()
        ),
    }


def write(arguments, losses):
    """The record, the picture and the table of what was trained so far."""
    from matplotlib.figure import Figure

    rows = [
        apart(losses, RUNS[0], RUNS[1]),
        apart(losses, RUNS[0], RUNS[2]),
        apart(losses, RUNS[1], RUNS[2]),
    ]
    title = (
        f"DANet-50, {len(losses[RUNS[0]])} steps of {arguments.batch_size} crops of "
        f"{arguments.crop_size} pixels, {keras.backend.backend()}, {machine()}"
    )
    text = f"{title}\n\n{markdown(rows)}\n"
    output = arguments.output
    record = {"machine": title, "rows": rows, "losses": losses}
    write_record(output, text, record)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, color in zip(RUNS, ("tab:blue", "tab:cyan", "tab:red"), strict=True):
        steps = np.arange(1, len(losses[name]) + 1)
        axes.plot(steps, losses[name], color=color, alpha=0.25, linewidth=0.8)
        means = running_mean(losses[name])
        axes.plot(steps[-len(means) :], means, color=color, label=name)
    axes.set(xlabel="step", ylabel="loss of all heads")
    axes.legend()
    figure.savefig(output.with_suffix(".png"), dpi=110)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the CamVid folder")
    parser.add_argument("--output", type=Path, default=Path("training_parity"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--crop-size", type=int, default=96)
    arguments = parser.parse_args()
    print(write(arguments, train(arguments)))


if __name__ == "__main__":
    main()
