"""Train a row of the papers' tables, and compare with what it reports.

    python examples/train.py --list
    python examples/train.py --recipe dfdam_table2_pam2d --data CITYSCAPES
    python examples/train.py --recipe dfdam_table2_pam2d --data scenes --backbone \
        resnet_18 --crop-size 64 --batch-size 2 --epochs 2 --steps-per-epoch 5

The folder is the one that `keras_danet.data` describes for the recipe's data set.
"scenes" takes synthetic street scenes in its place, to see everything run without a
download. The backbone is keras-hub's ImageNet preset of the recipe's ResNet, unless
given: a preset, a name such as "resnet_50" (random weights) or a keras-hub folder.

All GPUs that TensorFlow or JAX sees train together; PyTorch takes one. Killed at any
moment and started again with the same command, it goes on from the last epoch; on a
CPU it ends with the same weights. The output folder gets

- step-.../ the last snapshot and the best, each with model.keras,
- log.csv and tensorboard/,
- result.json: whole-image mIoU of the best snapshot with the recipe's test scales, what
  the paper reports, every setting, and the hardware.

Measured here: nothing but that it runs; the reported mIoU are the papers'.
"""

import argparse
import contextlib
import dataclasses
import importlib.util
import json
import os
import platform
import time
from pathlib import Path

import keras

import keras_danet
from keras_danet import data
from keras_danet.evaluation import evaluate
from keras_danet.recipes import RECIPES
from keras_danet.snapshots import Snapshots

MODELS = {"danet": keras_danet.DANet, "dfdam": keras_danet.DFDAM}
SCORE = "val_mean_iou"


class WholeImageScore(keras.callbacks.Callback):
    """mIoU of whole images in the logs of every so many epochs, and of the last.

    NaN in the others', so that the columns of the CSV log never change.
    """

    def __init__(self, examples, every):
        super().__init__()
        self.examples = examples
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
        logs[SCORE] = float("nan")
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]:
            logs[SCORE] = evaluate(self.model, self.examples, verbose=0).mean_iou


def read(args, recipe, split):
    """The examples of a split; of "val" where the labels of "test" are not public."""
    if args.data == "scenes":
        return data.scenes(*((200, 0) if split == recipe.train_split else (10, 1)))
    if recipe.data_set == "pascal_context_60":
        return data.pascal_context(args.data, split, background=True)
    if split == "test" and recipe.data_set != "coco_stuff":
        split = "val"
    return getattr(data, recipe.data_set)(args.data, split)


def overridden(recipe, args):
    """The recipe with what the command line says otherwise."""
    names = ("crop_size", "batch_size", "epochs", "learning_rate", "base_size")
    given = {name: getattr(args, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if args.data == "scenes":
        given["data_set"] = "scenes"
    return dataclasses.replace(recipe, **given)


def all_devices():
    """A context in which all GPUs of this machine train together."""
    if keras.backend.backend() == "jax" and len(devices()) > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel())
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if len(gpus) > 1:
            return tf.distribute.MirroredStrategy().scope()
        if not gpus:
            # Sums in one order, so that a resumed training is equal to the last bit.
            tf.config.experimental.enable_op_determinism()
    return contextlib.nullcontext()


def build(recipe, backbone, steps):
    """The compiled model of a recipe that trains for `steps` steps."""
    names = data.class_names(recipe.data_set)
    backbone = backbone or f"{recipe.backbone}_imagenet"
    model = MODELS[recipe.model](
        len(names), backbone, class_names=names, **recipe.arguments
    )
    optimizer = keras_danet.SGD(
        keras_danet.poly_decay(recipe.learning_rate, steps),
        momentum=0.9,
        weight_decay=recipe.weight_decay,
        head_multiplier=recipe.head_multiplier,
    )
    model.compile(optimizer)
    return model


def batches(examples, recipe, seed, start_step):
    """The recipe's augmented training crops."""
    return data.prepare(
        examples,
        recipe.batch_size,
        crop_size=recipe.crop_size,
        training=True,
        seed=seed,
        start_step=start_step,
        scale=recipe.scale,
        scale_step=recipe.scale_step,
        base_size=recipe.base_size,
    )


def train(recipe, args):
    """Trains to the end, from the last snapshot if there is one; the snapshots."""
    examples = read(args, recipe, recipe.train_split)
    steps = args.steps_per_epoch or len(examples) // recipe.batch_size
    snapshots = Snapshots(args.out, monitor=SCORE)
    snapshots.trim_log(args.out / "log.csv")
    with all_devices():
        model = build(recipe, args.backbone, steps * recipe.epochs)
        model.fit(
            batches(examples, recipe, args.seed, snapshots.step),
            steps_per_epoch=steps,
            epochs=recipe.epochs,
            initial_epoch=snapshots.epoch,
            verbose=args.verbose,
            callbacks=[
                WholeImageScore(
                    read(args, recipe, recipe.test_split),
                    args.score_every or max(1, recipe.epochs // 10),
                ),
                keras.callbacks.CSVLogger(args.out / "log.csv", append=True),
                keras.callbacks.TensorBoard(args.out / "tensorboard"),
                snapshots,
            ],
        )
    return snapshots


def report(recipe, args, snapshots, minutes):
    """Scores the best snapshot as the recipe tests, and writes result.json."""
    evaluation = evaluate(
        keras.saving.load_model(snapshots.best_model),
        read(args, recipe, recipe.test_split),
        scales=recipe.test_scales,
        flip=recipe.test_flip,
    )
    result = {
        "measured mIoU": 100 * evaluation.mean_iou,
        "reported mIoU": recipe.miou,
        "reported by": f"{recipe.paper}, table {recipe.table}, {recipe.test_split}",
        "recipe": dataclasses.asdict(recipe),
        "overrides": {name: str(value) for name, value in vars(args).items()},
        "best snapshot": snapshots.best,
        "protocol": {name: str(value) for name, value in evaluation.protocol.items()},
        "minutes since the last start": round(minutes, 1),
        "hardware": hardware(),
    }
    (args.out / "result.json").write_text(json.dumps(result, indent=1))
    reported = "unread" if recipe.miou is None else f"{recipe.miou:.2f}"
    print(f"measured {100 * evaluation.mean_iou:.2f}, reported {reported} mIoU")


def devices():
    """Names of the devices that the backend sees."""
    if keras.backend.backend() != "torch":  # there `keras.distribution` is empty
        return [str(device) for device in keras.distribution.list_devices()]
    import torch

    gpus = range(torch.cuda.device_count())
    return [torch.cuda.get_device_name(gpu) for gpu in gpus] or ["cpu"]


def hardware():
    """What trained, in words."""
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "devices": devices(),
        "backend": f"{keras.backend.backend()}, Keras {keras.__version__}",
    }


def print_list():
    print(f"{'recipe':26} {'data set':18} {'split':5} {'modules':11}  mIoU  source")
    for name, recipe in RECIPES.items():
        print(
            f"{name:26} {recipe.data_set:18} {recipe.test_split:5} "
            f"{recipe.modules:11} {recipe.miou or '-':5}  {recipe.source}"
        )


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--list", action="store_true", help="print all recipes")
    parser.add_argument("--recipe", choices=RECIPES, metavar="NAME")
    parser.add_argument("--data", help='folder of the recipe\'s data set, or "scenes"')
    parser.add_argument("--backbone", help="instead of the ImageNet preset")
    parser.add_argument("--crop-size", type=int)
    parser.add_argument("--base-size", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--steps-per-epoch", type=int, help="also between snapshots")
    parser.add_argument("--score-every", type=int, help="epochs between two scores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", type=int, default=1)
    parser.add_argument("--out", type=Path, help="default: runs/NAME")
    args = parser.parse_args()
    if not args.list and not (args.recipe and args.data):
        parser.error("--recipe and --data are needed, or --list")
    if not args.list and importlib.util.find_spec("tensorboard") is None:
        parser.error("the TensorBoard log needs it: pip install tensorboard")
    args.out = args.out or Path("runs") / str(args.recipe)
    return args


def main():
    args = parse()
    if args.list:
        print_list()
        return
    args.out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(args.seed)
    recipe = overridden(RECIPES[args.recipe], args)
    print(f"{recipe.paper}, table {recipe.table}: {recipe.miou} mIoU ({recipe.source})")
    print(f"not stated by the paper: {', '.join(recipe.inferred) or 'nothing'}")
    print(f"on {hardware()}")
    start = time.time()
    snapshots = train(recipe, args)
    report(recipe, args, snapshots, (time.time() - start) / 60)


if __name__ == "__main__":
    main()
