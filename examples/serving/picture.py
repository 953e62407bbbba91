"""What both clients do with an answer: the classes' colors over the picture."""

import io
import json

import numpy as np
from PIL import Image, ImageOps


def save_overlay(image, label_png, card, out):
    """Saves the picture with its labels' colors over it; prints the classes' shares.

    Args:
        image: path of the picture that was sent.
        label_png: bytes, the PNG of class ids that came back.
        card: path of the export's `model_card.json`.
        out: path of the overlay.
    """
    with open(card) as file:
        classes = json.load(file)["classes"]
    labels = np.asarray(Image.open(io.BytesIO(label_png)))
    # The server turned a photograph upright before it segmented it.
    picture = ImageOps.exif_transpose(Image.open(image)).convert("RGB")
    colors = np.array([row["color"] for row in classes], "uint8")
    mixed = Image.blend(picture, Image.fromarray(colors[labels]), 0.55)
    mixed.save(out)
    counts = np.bincount(labels.ravel(), minlength=len(classes))
    for row in sorted(classes, key=lambda row: -counts[row["id"]]):
        if counts[row["id"]]:
            print(f"{row['name']}: {counts[row['id']] / labels.size:.1%}")
