"""The embedded street scenes."""

import numpy as np
import pytest

from keras_danet import data
from keras_danet.data.synthetic import draw_scene


def test_a_scene_is_a_function_of_seed_and_index():
    image, label = draw_scene(3, 5)
    again, label_again = draw_scene(3, 5)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(label, label_again)
    for seed, index in ((3, 6), (4, 5)):
        assert (draw_scene(seed, index)[1] != label).mean() > 0.05


def test_scenes_are_a_data_set():
    scenes = data.scenes(4, seed=2, image_size=(48, 64))
    assert scenes.cardinality() == 4
    for index, (image, label) in enumerate(scenes):
        expected = draw_scene(2, index, (48, 64))
        np.testing.assert_array_equal(image, expected[0])
        np.testing.assert_array_equal(label, expected[1])
    assert scenes.element_spec[0].shape == (48, 64, 3)


def test_every_class_and_void_occur_and_thin_things_are_thin():
    labels = np.stack([draw_scene(0, i)[1] for i in range(12)])
    assert set(np.unique(labels)) == {*range(9), 255}
    pole = labels == data.class_names("scenes").index("pole")
    run = pole[:, :, 3:] & pole[:, :, 2:-1] & pole[:, :, 1:-2] & pole[:, :, :-3]
    assert run.sum() < 0.5 * pole.sum()


def test_color_alone_does_not_tell_the_class():
    """The nearest mean color of a class is a poor guess on unseen scenes."""

    def pixels(seed):
        images, labels = zip(*(draw_scene(seed, i) for i in range(8)), strict=True)
        labels = np.stack(labels)
        known = labels != 255
        return np.stack(images)[known][::7].astype("float32"), labels[known][::7]

    colors, labels = pixels(0)
    means = np.stack([colors[labels == k].mean(0) for k in range(9)])
    colors, labels = pixels(1)
    guess = ((colors[:, None] - means) ** 2).sum(-1).argmin(-1)
    iou = [
        ((guess == k) & (labels == k)).sum() / ((guess == k) | (labels == k)).sum()
        for k in range(9)
    ]
    assert np.mean(iou) < 0.25


@pytest.mark.parametrize("size", [(16, 16), (17, 90), (90, 17)])
def test_odd_sizes(size):
    for index in range(10):
        image, label = draw_scene(1, index, size)
        assert image.shape == (*size, 3) and label.shape == size


def test_bad_arguments():
    for arguments in ({"count": 0}, {"count": 1, "image_size": (8, 32)}):
        with pytest.raises(ValueError, match="Received"):
            data.scenes(**arguments)
