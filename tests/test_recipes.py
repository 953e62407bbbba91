"""The table of recipes: whole, consistent with the papers, and buildable."""

import dataclasses
import re

import pytest

import keras_danet
from keras_danet import data
from keras_danet.recipes import RECIPES, Recipe
from tests.shared import SHARED, needs_shared

pytestmark = pytest.mark.once

ROWS = {  # (paper, table): rows of the authors' own method and its baselines
    ("DANet", 1): 8,
    ("DANet", 2): 4,
    ("DANet", 3): 1,
    ("DANet", 4): 3,
    ("DANet", 5): 1,
    ("DANet", 6): 3,
    ("DANet", 7): 3,
    ("DANet code", None): 2,
    ("DF-DAM", 1): 6,
    ("DF-DAM", 2): 3,
    ("DF-DAM", 3): 3,
    ("DF-DAM", 4): 1,
    ("DF-DAM", 5): 3,
    ("DF-DAM", 6): 1,
}


def test_every_row_of_every_table():
    found = [(recipe.paper, recipe.table) for recipe in RECIPES.values()]
    assert {key: found.count(key) for key in found} == ROWS
    assert all(name == recipe.name for name, recipe in RECIPES.items())


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_values_and_sources(recipe):
    columns = {field.name for field in dataclasses.fields(Recipe)}
    assert set(recipe.inferred) <= columns
    assert len(set(recipe.inferred)) == len(recipe.inferred)
    assert recipe.source in ("text", "derived", "table", "unread")
    assert (recipe.miou is None) == (recipe.source == "unread")
    assert recipe.data_set in data.CLASSES
    assert 0 < recipe.learning_rate < 0.1 and 30 < (recipe.miou or 60) < 90
    assert recipe.test_scales[0] <= 1.0 <= recipe.scale[1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.epochs = 1


def reports(text, number):
    """Whether the text holds the number, alone or as a percentage."""
    return re.search(rf"(?<![\d.]){number:g}0?(?![\d])", text) is not None


@needs_shared
def test_numbers_said_to_be_stated_stand_in_the_papers():
    texts = {
        "DANet": (SHARED / "papers/danet.txt").read_text(),
        "DF-DAM": (SHARED / "papers/dfdam.txt").read_text(),
    }
    for recipe in RECIPES.values():
        if recipe.paper in texts and recipe.source == "text":
            # Table 5 of DANet is lost in our text; table 7 of DF-DAM quotes it.
            paper = "DF-DAM" if recipe.name == "danet_table5" else recipe.paper
            assert reports(texts[paper], recipe.miou), recipe.name


def test_gains_of_the_text():
    """The differences that DANet's text states between rows of its tables."""

    def miou(name):
        return RECIPES[f"danet_{name}"].miou

    for better, worse, gain in (
        ("table1_position_50", "table1_fcn_50", 5.71),
        ("table1_channel_50", "table1_fcn_50", 4.25),
        ("table1_dual_101", "table1_fcn_101", 5.03),
        ("table2_scale", "table2_flip", 1.26),
        ("table2_multi_grid", "table2_scale", 1.11),
    ):
        assert miou(better) - miou(worse) == pytest.approx(gain, abs=1e-6)


def test_arguments_build_the_network():
    dfdam = RECIPES["dfdam_table2_dafm"]
    model = keras_danet.DFDAM(19, dfdam.backbone, **dfdam.arguments)
    names = [layer.name for layer in model.layers]
    assert "dafm" in names and "pam2d" not in names
    arguments = RECIPES["danet_table2_multi_grid"].arguments
    assert arguments == {"attention": "dual", "multi_grid": (4, 8, 16)}
    assert RECIPES["danet_table1_fcn_50"].arguments["attention"] is None
    assert RECIPES["dfdam_table1_pam2d_50"].arguments == {
        "context": "dafm",
        "spatial": "pam2d",
    }
