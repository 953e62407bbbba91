"""ONNX, OpenVINO and LiteRT files of tiny models, run by their own runtimes."""

import sys

import keras
import numpy as np
import pytest

from keras_danet import export_model
from keras_danet.export import onnx_format
from keras_danet.export.comparison import compare, scenes_for
from keras_danet.export.inference_graph import (
    DilatedConvolution,
    attention_form,
    inference_copy,
)
from keras_danet.export.litert_format import write_litert
from keras_danet.export.onnx_format import write_onnx
from keras_danet.export.openvino_format import write_openvino
from tests.cases import CASES, predict

pytestmark = pytest.mark.once

# None of them a size that the exports compare themselves on. The last has more
# positions than a block.
SIZES = [(1, 1, 1), (2, 33, 47), (1, 64, 96), (3, 17, 90), (1, 280, 350)]


def lively(name, **overrides):
    """A tiny model whose labels differ from pixel to pixel."""
    model = CASES[name].build(**overrides)
    classifier = model.get_layer("fused_logits")
    rng = np.random.default_rng(3)
    kernel = rng.normal(0, 0.3, classifier.kernel.shape)
    classifier.kernel.assign(kernel - kernel.mean(axis=-2, keepdims=True))
    classifier.bias.assign(np.zeros(classifier.bias.shape))
    return model


def noise(size, seed=5):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*size, 3)).astype("float32")


def run_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    assert [i.name for i in session.get_inputs()] == ["images"]
    return lambda images: session.run(["logits"], {"images": images})[0]


def run_openvino(path):
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    return lambda images: compiled({"images": images})["logits"]


def run_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    signatures = interpreter.get_signature_list()
    names = {"inputs": ["images"], "outputs": ["logits"]}
    assert signatures == {"serving_default": names}

    def run(images):
        index = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(index, images.shape)
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner()(images=images)["logits"]

    return run


WRITERS = {
    "onnx": ("model.onnx", write_onnx, run_onnx, "blocks"),
    "openvino": ("model.xml", write_openvino, run_openvino, "blocks"),
    "litert": ("model.tflite", write_litert, run_litert, "dense"),
}


@pytest.fixture(scope="module")
def danet():
    # Converters have got the reversed channels of "caffe" wrong.
    return lively("danet", preprocessing="caffe")


@pytest.mark.parametrize("format", WRITERS)
def test_a_file_answers_as_the_model_at_any_size(format, danet, tmp_path):
    name, write, load, attention = WRITERS[format]
    report = write(danet, tmp_path / name)
    assert report["attention"] == attention
    assert report["largest_logit_difference"] <= 1e-3
    run = load(tmp_path / name)
    for size in SIZES:
        expected, found = predict(danet, noise(size)), run(noise(size))
        assert found.shape == (*size, 5)
        np.testing.assert_allclose(found, expected, atol=1e-3)
        assert size[1] == 1 or len(np.unique(found.argmax(-1))) > 1


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_every_weight_of_the_main_head_is_stored_once(format, tmp_path):
    model = lively("dfdam")
    name, write, load, _ = WRITERS[format]
    assert write(model, tmp_path / name)["attention"] is None
    run = load(tmp_path / name)
    images = noise((1, 70, 45))
    np.testing.assert_allclose(run(images), predict(model, images), atol=1e-3)
    main = keras.Model(model.input, model.output)
    stored = sum(p.stat().st_size for p in tmp_path.iterdir() if p.suffix != ".xml")
    assert stored < 4 * main.count_params() + 150_000  # the graph's own text


def test_fewer_bits_make_smaller_files_that_still_agree(danet, tmp_path):
    images = [noise((48, 64), seed) for seed in range(4)]
    largest = np.abs(predict(danet, np.stack(images))).max()
    parameters = keras.Model(danet.input, danet.output).count_params()
    sizes = {}
    for precision, share in {"float16": 0.6, "dynamic_int8": 0.4, "int8": 0.4}.items():
        path = tmp_path / precision
        calibration = images if precision == "int8" else None
        report = write_litert(danet, path, precision, calibration)
        assert report["label_agreement"] >= 0.8
        assert 1e-6 < report["largest_logit_difference"] < 0.1 * largest
        sizes[precision] = path.stat().st_size
        assert sizes[precision] < share * 4 * parameters
        run_litert(path)(noise((1, 40, 40)))
    assert sizes["int8"] != sizes["dynamic_int8"] < sizes["float16"]


def test_int8_needs_images(danet, tmp_path):
    for images in (None, []):
        with pytest.raises(ValueError, match="needs `calibration_images`"):
            write_litert(danet, tmp_path / "model.tflite", "int8", images)
    assert not any(tmp_path.iterdir())


def test_a_model_of_one_size_and_mixed_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = lively("danet_multi_grid", image_shape=(40, 56, 3))
    report = write_onnx(model, tmp_path / "model.onnx")
    assert report["image_sizes"] == [[1, 40, 56], [2, 40, 56]]
    images = noise((2, 40, 56))
    found = run_onnx(tmp_path / "model.onnx")(images)
    float32 = predict(inference_copy(model), images)
    np.testing.assert_allclose(found, float32, atol=1e-3)


def test_the_copy_computes_the_same_and_is_another(danet):
    images = noise((1, 72, 50))
    for dense in (False, True):
        copy = inference_copy(danet, dense_attention=dense)
        np.testing.assert_allclose(
            predict(copy, images), predict(danet, images), atol=1e-5
        )
        assert attention_form(copy) == ("dense" if dense else "blocks")
    dilated = [x for x in copy._flatten_layers() if isinstance(x, DilatedConvolution)]
    assert len(dilated) == 3
    assert attention_form(danet) == "blocks"
    assert not {id(v) for v in copy.variables} & {id(v) for v in danet.variables}


def changed(model, change):
    """`run` of an export that gives the model's logits, changed."""
    return lambda images: change(predict(model, images))


@pytest.mark.parametrize(
    ("change", "required", "message"),
    [
        (lambda logits: logits + 0.01, None, "other logits.*Received: 0.01"),
        (lambda logits: logits * np.nan, None, "other logits.*Received: nan"),
        (lambda logits: logits[..., ::-1], 0.8, "80% of the pixels.*Nothing was"),
    ],
)
def test_a_mismatch_is_an_error(danet, change, required, message):
    with pytest.raises(ValueError, match=f"(?s)The file gives.*{message}"):
        compare(danet, changed(danet, change), "The file", required)


def test_labels_may_differ_in_a_few_ties_only():
    image = keras.Input((None, None, 3))
    classifier = keras.layers.Conv2D(2, 1)
    model = keras.Model(image, classifier(image))
    classifier.bias.assign([0, 4e-4])
    classifier.kernel.assign(np.zeros((1, 1, 3, 2)))  # every pixel is a tie
    images = [np.zeros((1, 100, 100, 3), "float32")]

    def first(pixels):
        def change(logits):
            logits = logits.copy()
            logits[0, 0, :pixels] = [5e-4, 0]
            return logits

        return changed(model, change)

    report = compare(model, first(10), "The file", images=images)
    assert report["ties_broken"] == pytest.approx(1e-3)
    assert report["label_agreement"] == pytest.approx(0.999)
    with pytest.raises(ValueError, match="0.1 % ties.*99.89% equal"):
        compare(model, first(11), "The file", images=images)
    classifier.bias.assign([0, 2e-3])  # no tie any more
    with pytest.raises(ValueError, match="other l"):
        compare(model, first(1), "The file", images=images)


def test_a_broken_model_is_not_exported(danet, tmp_path):
    model = keras.models.clone_model(danet)
    model.get_layer("fused_logits").bias.assign(np.full(5, np.nan))
    with pytest.raises(ValueError, match="model itself gives logits that are NaN"):
        compare(model, None, "The file", images=scenes_for(model)[:1])


def test_nothing_is_left_behind_by_an_export_that_differs(danet, tmp_path, monkeypatch):
    wrong = lambda path: lambda images: np.zeros((*images.shape[:3], 5))  # noqa: E731
    monkeypatch.setattr(onnx_format, "_session", wrong)
    with pytest.raises(ValueError, match="The ONNX file gives other logits"):
        export_model(danet, tmp_path / "model.onnx", "onnx")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "write", "name"),
    [
        ("tf2onnx", write_onnx, "m.onnx"),
        ("openvino", write_openvino, "m.xml"),
        ("ai_edge_litert.interpreter", write_litert, "m.tflite"),
    ],
)
def test_a_package_that_is_missing_is_named(
    module, write, name, danet, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    package = module.split(".")[0]
    with pytest.raises(ImportError, match=rf"{package}.*keras-danet\[export\]"):
        write(danet, tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_an_openvino_file_is_an_xml_file(danet, tmp_path):
    with pytest.raises(ValueError, match=r"\.xml file.*model\.onnx"):
        write_openvino(danet, tmp_path / "model.onnx")
