"""The README's promises: its commands are CI's, its code runs as it stands."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_danet
from tests.cases import tiny_resnet
from tests.toy import tiny_danet

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def test_two_commands_and_ci_runs_the_second():
    quickstart, tests = blocks("bash")[:2]
    assert quickstart.strip() == "pip install . && python examples/quickstart.py"
    assert tests.strip() in (ROOT / ".ci/run").read_text().splitlines()


def test_every_named_file_and_name_exists():
    for path in re.findall(r"(?:\]\(|`)((?:examples|tests)/[\w./-]+)", README):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"keras_danet\.(\w+)", README):
        assert hasattr(keras_danet, name), name


def write_folders(folder):
    from PIL import Image

    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / "mine" / split / kind).mkdir(parents=True)
        for index in range(4):
            label = rng.integers(0, 3, (48, 64), dtype=np.uint8)
            image = np.stack([label * 80] * 3, -1)
            place = folder / "mine" / split
            Image.fromarray(image).save(place / "images" / f"{index}.jpg")
            Image.fromarray(label).save(place / "labels" / f"{index}.png")
    Image.fromarray(image).save(folder / "street.png")


def test_the_code_runs(tmp_path, monkeypatch):
    """The first blocks, the preset a local folder and the steps few."""
    monkeypatch.chdir(tmp_path)
    write_folders(tmp_path)
    tiny_resnet().save_to_preset(tmp_path / "preset")
    to_mask, from_folder, explained = blocks("python")[:3]
    for theirs, ours in (
        ('"resnet_50_imagenet"', repr(str(tmp_path / "preset"))),
        ("crop_size=256", "crop_size=32"),
        ("steps_per_epoch=100, epochs=20", "steps_per_epoch=2, epochs=1, verbose=0"),
    ):
        assert theirs in from_folder
        from_folder = from_folder.replace(theirs, ours)
    exec(from_folder, {})
    assert keras.saving.load_model("mine.keras").class_names[0] == "road"
    exec(to_mask.replace("quickstart/model.keras", "mine.keras"), {})
    assert (tmp_path / "mask.png").stat().st_size > 0
    tiny_danet().save("danet.keras")
    exec(explained, {})
    assert (tmp_path / "attention.png").stat().st_size > 0


def test_the_examples_are_short():
    to_mask, from_folder = blocks("python")[:2]
    lines = [line for line in to_mask.splitlines() if line.strip()]
    assert len(lines) <= 5
    lines = [line for line in from_folder.splitlines() if line.strip()]
    assert len(lines) <= 10
