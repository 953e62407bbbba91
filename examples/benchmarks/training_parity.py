"""Whether a DANet-50 trains here as it does in PyTorch: the losses, step by step.

    KERAS_BACKEND=tensorflow python examples/benchmarks/training_parity.py \\
        --data CAMVID --weights r50.weights.h5 --output training_parity

trains mmsegmentation's DANet on a ResNet-50 in PyTorch (`mmseg_danet.py` says how to
install it) and the same model here, each with several seeds: the same ImageNet weights
in the backbone (those of `keras.applications.ResNet50(include_top=False)`, their stride
moved to the 3x3 convolutions, as mmsegmentation has it), the same random ones in the
head, both gammas at 0, the same batches of augmented crops of small CamVid frames in
the same order, the same schedule, momentum and weight decay, the three heads'
cross-entropies averaged over all pixels, as its configurations do.

What is left to chance is the dropout and the order of float32 sums. So how far the
PyTorch runs are apart from each other is the reference's own noise, which the distance
of ours from them is compared with. The losses of all runs are written to
`training_parity.json` and drawn in `training_parity.png`, with running means.
"""

import argparse
import itertools
from pathlib import Path

import keras
import numpy as np
import torch
from imagenet_resnet import torchvision_state
from measure import machine, markdown, write_record
from mmseg_danet import mmseg_danet

import keras_danet
from keras_danet import data
from keras_danet.layers.normalize import SETTINGS, ImageNormalization

WINDOW = 20  # steps of a running mean
SCALE = (0.25, 0.5)  # so that a small crop holds a street and not a piece of road
COLORS = {"PyTorch": ("tab:blue", "-"), "keras_danet": ("tab:red", "--")}


def fresh(weights, classes):
    """mmsegmentation's model as a training starts with it."""
    model = mmseg_danet(classes, backbone="ResNet")
    found = model.backbone.load_state_dict(weights, strict=False)
    lost = [name for name in found.missing_keys if "num_batches" not in name]
    if lost or found.unexpected_keys:
        raise ValueError(f"no weights for {lost}, no place for {found.unexpected_keys}")
    with torch.no_grad():
        for module in (model.decode_head.pam, model.decode_head.cam):
            module.gamma.scale.zero_()
    return model


class Reference:
    """mmsegmentation's model, and its generator of dropout masks."""

    def __init__(self, model, seed, arguments):
        self.model = model.train()
        torch.manual_seed(seed)
        self.state = torch.get_rng_state()
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            arguments.learning_rate,
            momentum=0.9,
            weight_decay=1e-4,
        )
        self.schedule = torch.optim.lr_scheduler.PolynomialLR(
            self.optimizer, arguments.steps, power=0.9
        )

    def __call__(self, image, label):
        torch.set_rng_state(self.state)
        x = torch.from_numpy(image.transpose(0, 3, 1, 2).copy())
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


def ours(state, seed, arguments):
    """The same model here, as a function of a batch that takes one step."""
    keras.utils.set_random_seed(seed)
    model = keras_danet.from_checkpoint(state, preprocessing=None)
    schedule = keras_danet.poly_decay(arguments.learning_rate, arguments.steps)
    model.compile(
        keras_danet.SGD(schedule),
        loss=keras_danet.CrossEntropy(average="all"),
        metrics=[],
    )

    def step(image, label):
        # Otherwise the mean over all batches since the last reset.
        model.reset_metrics()
        return float(model.train_on_batch(image, label, return_dict=True)["loss"])

    return step


def trainers(arguments, classes):
    """name -> function of a batch that takes one step and returns the loss."""
    weights = torchvision_state(arguments.weights)
    runs = {}
    for seed in range(arguments.seeds):
        model = fresh(weights, classes)
        runs[f"PyTorch, seed {seed}"] = Reference(model, seed, arguments)
    state = fresh(weights, classes).state_dict()
    for seed in range(arguments.seeds):
        runs[f"keras_danet, seed {seed}"] = ours(state, seed, arguments)
    return runs


def batches(folder, crop_size, batch_size, seed):
    """Normalized augmented crops and their labels, without end."""
    frames = data.camvid(folder, "train")
    normalize = ImageNormalization(*SETTINGS["imagenet"])
    for image, label in data.prepare(
        frames,
        batch_size,
        crop_size=crop_size,
        scale=SCALE,
        training=True,
        seed=seed,
    ):
        image = normalize(np.asarray(image, "float32"))
        yield keras.ops.convert_to_numpy(image), np.asarray(label)


def train(arguments):
    """name -> losses of each step, all runs on the same batches in turn."""
    classes = len(data.class_names("camvid"))
    runs = trainers(arguments, classes)
    losses = {name: [] for name in runs}
    stream = batches(arguments.data, arguments.crop_size, arguments.batch_size, 0)
    for step, (image, label) in zip(range(arguments.steps), stream, strict=False):
        for name, run in runs.items():
            losses[name].append(run(image, label))
        if (step + 1) % 10 == 0:
            print(step + 1, {name: round(x[-1], 3) for name, x in losses.items()})
            write(arguments, losses)
    return losses


def running_mean(values):
    window = min(WINDOW, len(values))
    return np.convolve(values, np.ones(window) / window, mode="valid")


def framework(name):
    return name.split(",")[0]


def apart(losses):
    """How far two runs are apart, for each pair: step by step, in means, at the end."""
    rows = []
    for first, second in itertools.combinations(losses, 2):
        a, b = np.array(losses[first]), np.array(losses[second])
        means = running_mean(a) - running_mean(b)
        rows.append(
            {
                "runs": f"{first} and {second}",
                "mean absolute difference of a step": float(np.abs(a - b).mean()),
                f"of {WINDOW}-step means": float(np.abs(means).mean()),
                "difference of the last 50 steps' means": float(
                    a[-50:].mean() - b[-50:].mean()
                ),
            }
        )
    return rows


def frameworks(losses):
    """Mean loss of the last 50 steps, per framework: mean and spread of its seeds."""
    rows = []
    for name in dict.fromkeys(map(framework, losses)):
        runs = [x for run, x in losses.items() if framework(run) == name]
        last = [float(np.mean(run[-50:])) for run in runs]
        rows.append(
            {
                "framework": name,
                "first loss": float(np.mean([run[0] for run in runs])),
                "last 50 steps, mean of seeds": float(np.mean(last)),
                "smallest": min(last),
                "largest": max(last),
            }
        )
    return rows


def picture(losses, path):
    """Losses with running means, and how far those are from PyTorch's mean."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, sharex=True, height_ratios=(2, 1))
    reference = np.mean(
        [running_mean(x) for run, x in losses.items() if framework(run) == "PyTorch"],
        axis=0,
    )
    for name, values in losses.items():
        means = running_mean(values)
        color, line = COLORS[framework(name)]
        label = f"{framework(name)}, {WINDOW}-step means"
        style = {"color": color, "linestyle": line, "linewidth": 1.2}
        steps = np.arange(1, len(values) + 1)
        above.plot(steps, values, color=color, alpha=0.15, linewidth=0.8)
        steps = steps[-len(means) :]
        above.plot(steps, means, label=label if name.endswith("0") else None, **style)
        below.plot(steps, means - reference, **style)
    above.set(ylabel="loss of all heads")
    above.legend()
    below.set(xlabel="step", ylabel="minus PyTorch's mean")
    figure.savefig(path, dpi=110)


def write(arguments, losses):
    """The record, the picture and the tables of what was trained so far."""
    steps = len(next(iter(losses.values())))
    title = (
        f"DANet-50, {steps} steps of {arguments.batch_size} crops of "
        f"{arguments.crop_size} pixels, {keras.backend.backend()}, {machine()}"
    )
    rows = apart(losses)
    means = frameworks(losses)
    text = f"{title}\n\n{markdown(means)}\n\n{markdown(rows)}\n"
    record = {"machine": title, "frameworks": means, "rows": rows, "losses": losses}
    write_record(arguments.output, text, record)
    picture(losses, arguments.output.with_suffix(".png"))
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the CamVid folder")
    parser.add_argument("--weights", type=Path, required=True, help=".weights.h5")
    parser.add_argument("--output", type=Path, default=Path("training_parity"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--crop-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=0.002)
    parser.add_argument("--seeds", type=int, default=2, help="runs of each framework")
    arguments = parser.parse_args()
    print(write(arguments, train(arguments)))


if __name__ == "__main__":
    main()
