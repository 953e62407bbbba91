"""The demo page in a real browser: drop a picture, look, click a point."""

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_danet
from keras_danet.data.synthetic import draw_scene
from keras_danet.visualization import colorize
from tests.cases import CASES

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ["sky", "<b>road", "car", "tree", "person"]
POINT = (70, 100)  # row and column in a picture of 96x128
ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    model = CASES["danet"].build(class_names=NAMES)
    classifier = model.get_layer("fused_logits")
    kernel = np.random.default_rng(3).normal(0, 3, classifier.kernel.shape)
    classifier.kernel.assign(kernel - kernel.mean(axis=-2, keepdims=True))
    path = tmp_path_factory.mktemp("demo") / "model.keras"
    model.save(path)
    return model, path


@pytest.fixture(scope="module")
def address(model):
    """Where the page is served, by the example as a user runs it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), *sys.path])),
    }
    app = ROOT / "examples" / "demo_app.py"
    command = [sys.executable, str(app), str(model[1]), "--port", port]
    server = subprocess.Popen(command, env=environment)
    try:
        _wait_for(int(port), server)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(port, server, seconds=180):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"The page is not served after {seconds} s, or the server died.")


@pytest.fixture
def page(address):
    """A page that keeps what it asked of others, and what went wrong in it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(60_000)
        page.abroad, page.errors = [], []
        page.on("request", lambda r: page.abroad.append(r.url))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(address)
        yield page
        browser.close()


def drop(page, path):
    page.set_input_files("#picture input[type=file]", path)


def shown(page, name):
    """The picture of one panel, as the server sent it."""
    image = page.wait_for_selector(f"#{name} img")
    data = page.request.get(image.get_attribute("src")).body()
    return image, np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def legend_of(fractions):
    """As the page writes it: the largest first."""
    order = np.argsort(-fractions)
    return [f"{NAMES[i]} {fractions[i]:.1%}" for i in order if fractions[i] >= 0.0005]


def test_drop_a_picture_and_click_a_point(page, address, model, tmp_path):
    scene, _ = draw_scene(0, 3, (96, 128))
    Image.fromarray(scene).save(tmp_path / "street.png")
    drop(page, tmp_path / "street.png")
    labels = keras_danet.segment(model[0], scene).labels
    assert len(np.unique(labels)) > 1

    _, mask = shown(page, "mask")
    np.testing.assert_array_equal(mask, colorize(labels, model[0]))
    image, mixed = shown(page, "overlay")
    expected = keras_danet.visualization.overlay(
        scene, labels, model[0], show_legend=False
    )
    np.testing.assert_array_equal(mixed, expected)
    shares = np.bincount(labels.ravel()) / labels.size
    assert page.inner_text("#legend").splitlines() == legend_of(shares)

    box = image.bounding_box()
    row, column = POINT
    page.mouse.click(
        box["x"] + (column + 0.5) * box["width"] / 128,
        box["y"] + (row + 0.5) * box["height"] / 96,
    )
    _, attention = shown(page, "attention")
    assert attention.shape == scene.shape
    assert (attention[row, column] != 255).any()  # the ring's hole
    text = page.inner_text("#attention-text")
    found = re.search(r"Row (\d+), column (\d+): (.+), which", text)
    point = int(found[1]), int(found[2])
    assert np.abs(np.subtract(point, POINT)).max() <= 1
    assert found[3] == NAMES[labels[point]]
    scores = keras_danet.explain(model[0], scene, [point]).position_maps[0]
    cells = labels[4::8, 4::8]  # the pixel at each cell's center
    gathered = np.bincount(cells.ravel(), scores.ravel())
    assert text.splitlines()[1:] == legend_of(gathered)

    here = (address, "data:", "blob:")
    assert [url for url in page.abroad if not url.startswith(here)] == []
    assert page.errors == []


def test_a_file_that_is_no_picture_is_refused_and_the_page_goes_on(page, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"no picture")
    drop(page, tmp_path / "broken.png")
    page.wait_for_selector("text=/Image broken.png cannot be read/")
    page.click("#picture [aria-label='Remove Image']")
    scene, _ = draw_scene(0, 4, (40, 60))
    Image.fromarray(scene).save(tmp_path / "street.png")
    drop(page, tmp_path / "street.png")
    assert shown(page, "mask")[1].shape == (40, 60, 3)
    assert page.errors == []
