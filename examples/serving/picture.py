"""What both clients do: read the command line, ask, and draw the answer."""

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def ask(segment, description, port):
    """Sends the picture of the command line by `segment`, and saves the overlay.

    Args:
        segment: function of address, model name and bytes to the PNG of class ids.
        description: the client's docstring.
        port: of the server, unless the command line says otherwise.
    """
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--card", type=Path, required=True, help="model_card.json")
    parser.add_argument("--address", default=f"localhost:{port}")
    parser.add_argument("--model", default="street", help="the name it is served by")
    parser.add_argument("--out", type=Path, default=Path("overlay.png"))
    args = parser.parse_args()
    label_png = segment(args.address, args.model, args.image.read_bytes())
    save_overlay(args.image, label_png, args.card, args.out)
    print(f"Wrote {args.out}")


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
