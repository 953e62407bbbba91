"""Train DF-DAM on synthetic street scenes, from nothing to a served model.

    python examples/quickstart.py

Needs no download. It draws its scenes, trains for about two minutes on two CPU cores,
scores scenes that it has never seen, and leaves in quickstart/:

- scenes.png, rows of image, label, prediction and error,
- model.keras, for `keras.saving.load_model` on any backend,
- saved_model/, ready for TensorFlow Serving (examples/serving/README.md).
"""

import argparse
import time
from pathlib import Path

import keras

import keras_danet
from keras_danet import data, visualization

IMAGE_SIZE = (96, 144)
BATCH_SIZE = 8


def train(steps, seed):
    """A DF-DAM trained for `steps` batches of scenes that never repeat an image."""
    names = data.class_names("scenes")
    model = keras_danet.DFDAM(len(names), "resnet_18", class_names=names)
    scenes = data.scenes(steps * BATCH_SIZE, seed=seed, image_size=IMAGE_SIZE)
    batches = data.prepare(scenes, BATCH_SIZE, training=True, scale=(1, 1))
    weights = data.class_weights(scenes.take(100), model.num_classes, method="enet")
    model.compile(
        keras.optimizers.AdamW(keras_danet.poly_decay(2e-3, steps), weight_decay=1e-4),
        keras_danet.CrossEntropy(class_weights=weights),
    )
    model.fit(batches, steps_per_epoch=max(1, steps // 4), epochs=min(4, steps))
    return model


def evaluate(model, seed):
    """Mean IoU on scenes of a seed that training never saw; prints it per class."""
    metric = keras_danet.MeanIoU(model.num_classes)
    unseen = data.scenes(64, seed=seed, image_size=IMAGE_SIZE)
    for images, labels in data.prepare(unseen, BATCH_SIZE):
        metric.update_state(labels, model(images))
    print("\nIoU per class, on 64 unseen scenes")
    for name, iou in zip(model.class_names, metric.per_class(), strict=True):
        print(f"  {name:10s} {iou:.3f}")
    return float(metric.result())


def draw(model, seed, path):
    """A picture of four unseen scenes, their labels, predictions and errors."""
    (images, labels), *_ = data.prepare(data.scenes(4, seed, IMAGE_SIZE), 4)
    predictions = keras.ops.convert_to_numpy(model(images)).argmax(-1)
    visualization.grid(images.numpy(), labels.numpy(), predictions, model, path=path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=400, help="training batches")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("quickstart"))
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    start = time.time()
    model = train(args.steps, args.seed)
    print(f"Trained in {time.time() - start:.0f} s.")
    score = evaluate(model, args.seed + 1)
    print(f"Mean IoU {score:.3f}")

    draw(model, args.seed + 2, args.out / "scenes.png")
    model.save(args.out / "model.keras")
    keras_danet.export_model(model, args.out / "saved_model", overwrite=True)
    print(f"Wrote {', '.join(sorted(str(path) for path in args.out.iterdir()))}")
    print(
        "Next: look at scenes.png; train on your own images with "
        "keras_danet.data.from_folder (README, ten lines); or fine-tune on real "
        "streets with examples/finetune_camvid.py."
    )


if __name__ == "__main__":
    main()
