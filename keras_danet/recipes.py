"""The settings behind every row of both papers' tables: how to train, what came out.

Fu et al., Dual Attention Network for Scene Segmentation, CVPR 2019 (DANet); Xiong et
al., Differentiating Features for Scene Segmentation Based on Dedicated Attention
Mechanisms, 2019 (DF-DAM). Neither paper states everything: what a column's value is
inferred from stands below, and each recipe lists its inferred columns.
"""

from dataclasses import dataclass

DANET_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.2)
DFDAM_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)


@dataclass(frozen=True)
class Recipe:
    """One row of a paper's table; a claim that `examples/train.py` can check.

    Attributes:
        name: its key in `RECIPES`.
        paper: "DANet", "DF-DAM", or "DANet code" for the authors' first release.
        table: number of the paper's table, None for the release's README.
        model: "danet" or "dfdam".
        backbone: "resnet_18", "resnet_50" or "resnet_101", pretrained on ImageNet.
        modules: "dual", "position", "channel" or "fcn" (none) of DANet;
            "dafm+pam2d", "dafm" or "sum" (none) of DF-DAM.
        multi_grid: None, or the dilation rates of the last stage.
        data_set: a key of `data.CLASSES`.
        train_split, test_split: the splits of `data`; the labels of "test" of
            Cityscapes and VOC are not public: their servers scored.
        crop_size: pixels of the square training crop.
        base_size: short side in pixels at factor 1, None for the image's own.
        batch_size: over all GPUs.
        epochs: passes over the training split.
        learning_rate: float at step 0; it falls by `poly_decay`, power 0.9.
        head_multiplier: factor on the learning rate outside the backbone.
        weight_decay: float; momentum is 0.9.
        scale: (low, high) of the random factor; horizontal flip is always on.
        scale_step: None where any factor between was drawn.
        test_scales: factors whose probabilities are averaged.
        test_flip: bool.
        miou: float, percent, as reported; None where the table could not be read.
        source: where `miou` stands. "text": in the paper's text or a table we read;
            "derived": a reported gain added to a reported mean; "table": in the printed
            table only, as commonly cited and consistent with the gains in the text;
            "unread": in the printed table only, which we could not read.
        inferred: the columns that the paper does not state.

    Example:

    >>> recipe = RECIPES["danet_table2_multi_grid"]
    >>> model = keras_danet.DANet(19, recipe.backbone, **recipe.arguments)
    """

    name: str
    paper: str
    table: int | None
    model: str
    backbone: str
    modules: str
    multi_grid: tuple | None
    data_set: str
    train_split: str
    test_split: str
    crop_size: int
    base_size: int | None
    batch_size: int
    epochs: int
    learning_rate: float
    head_multiplier: float
    weight_decay: float
    scale: tuple
    scale_step: float | None
    test_scales: tuple
    test_flip: bool
    miou: float | None
    source: str
    inferred: tuple

    @property
    def arguments(self):
        """Keyword arguments of `DANet` or `DFDAM` that make this row's network."""
        if self.model == "danet":
            attention = None if self.modules == "fcn" else self.modules
            return {"attention": attention, "multi_grid": self.multi_grid}
        context, _, spatial = self.modules.partition("+")
        return {"context": context, "spatial": spatial or "sum"}


# What neither paper states:
# - DANet's epochs without random scaling: the default of the released code. Its random
#   scale, and base, crop and learning rate outside Cityscapes: that code's too (rate
#   0.001 / 8 of the batch, head times 10). COCO-Stuff, for which it has no loader, is
#   trained as PASCAL-Context.
# - DF-DAM's epochs: DANet's on Cityscapes, the released DANet's 50 on VOC.
# - The fine-tuning on VOC's trainval before the test set: the same settings again.
_FREE = ("crop_size", "base_size", "learning_rate", "head_multiplier", "scale")

# fmt: off
# ruff: noqa: E501
_TRAINING = {
    # key                  data set             split        crop  base  batch epochs rate   head  decay  scale         step   inferred
    "danet_flip":         ("cityscapes",        "train",      768, None,  8,   180,   0.01,   1.0, 1e-4, (1.0, 1.0),   None,  ("epochs", "head_multiplier")),
    "danet_scale":        ("cityscapes",        "train",      768, None,  8,   240,   0.01,   1.0, 1e-4, (0.75, 2.0),  None,  ("head_multiplier", "scale")),
    "danet_code":         ("cityscapes",        "train",      768, 1024,  8,   240,   0.003, 10.0, 1e-4, (0.75, 2.0),  None,  ()),
    "danet_voc":          ("pascal_voc",        "train_aug",  576,  608, 16,   240,   0.002, 10.0, 1e-4, (0.75, 2.0),  None,  _FREE),
    "danet_voc_trainval": ("pascal_voc",        "trainval",   576,  608, 16,   240,   0.002, 10.0, 1e-4, (0.75, 2.0),  None,  ("epochs", *_FREE)),
    "danet_context":      ("pascal_context_60", "train",      576,  608, 16,   240,   0.002, 10.0, 1e-4, (0.75, 2.0),  None,  _FREE),
    "danet_coco":         ("coco_stuff",        "train",      576,  608, 16,   180,   0.002, 10.0, 1e-4, (0.75, 2.0),  None,  _FREE),
    "dfdam_city":         ("cityscapes",        "train",     1024, None,  8,   240,   0.01,   1.0, 5e-4, (0.75, 2.0),  0.25,  ("epochs", "head_multiplier")),
    "dfdam_voc":          ("pascal_voc",        "train_aug",  512, None, 16,    50,   0.001,  1.0, 1e-5, (0.75, 2.0),  0.25,  ("epochs", "head_multiplier")),
    "dfdam_voc_trainval": ("pascal_voc",        "trainval",   512, None, 16,    50,   0.001,  1.0, 1e-5, (0.75, 2.0),  0.25,  ("epochs", "head_multiplier")),
}

_GRID = (4, 8, 16)
_ONE = (1.0,)
_TEST = ("test_scales", "test_flip")
_FLIP = ("test_flip",)

_RESULTS = (
    # name                           paper         table  backbone      modules       grid   training              tested  scales         flip    mIoU   source     inferred
    ("danet_table1_fcn_50",         "DANet",        1,   "resnet_50",  "fcn",         None,  "danet_flip",         "val",  _ONE,          False,  70.03, "derived", _FLIP),
    ("danet_table1_position_50",    "DANet",        1,   "resnet_50",  "position",    None,  "danet_flip",         "val",  _ONE,          False,  75.74, "text",    _FLIP),
    ("danet_table1_channel_50",     "DANet",        1,   "resnet_50",  "channel",     None,  "danet_flip",         "val",  _ONE,          False,  74.28, "derived", _FLIP),
    ("danet_table1_dual_50",        "DANet",        1,   "resnet_50",  "dual",        None,  "danet_flip",         "val",  _ONE,          False,  76.34, "text",    _FLIP),
    ("danet_table1_fcn_101",        "DANet",        1,   "resnet_101", "fcn",         None,  "danet_flip",         "val",  _ONE,          False,  72.54, "table",   _FLIP),
    ("danet_table1_position_101",   "DANet",        1,   "resnet_101", "position",    None,  "danet_flip",         "val",  _ONE,          False,  None, "unread",  _FLIP),
    ("danet_table1_channel_101",    "DANet",        1,   "resnet_101", "channel",     None,  "danet_flip",         "val",  _ONE,          False,  None, "unread",  _FLIP),
    ("danet_table1_dual_101",       "DANet",        1,   "resnet_101", "dual",        None,  "danet_flip",         "val",  _ONE,          False,  77.57, "table",   _FLIP),
    ("danet_table2_flip",           "DANet",        2,   "resnet_101", "dual",        None,  "danet_flip",         "val",  _ONE,          False,  77.57, "table",   _FLIP),
    ("danet_table2_scale",          "DANet",        2,   "resnet_101", "dual",        None,  "danet_scale",        "val",  _ONE,          False,  78.83, "table",   _FLIP),
    ("danet_table2_multi_grid",     "DANet",        2,   "resnet_101", "dual",        _GRID, "danet_scale",        "val",  _ONE,          False,  79.94, "table",   _FLIP),
    ("danet_table2_multi_scale",    "DANet",        2,   "resnet_101", "dual",        _GRID, "danet_scale",        "val",  DANET_SCALES,  False,  81.50, "text",    _FLIP),
    ("danet_table3",                "DANet",        3,   "resnet_101", "dual",        _GRID, "danet_scale",        "test", DANET_SCALES,  False,  81.5,  "text",    _TEST),
    ("danet_table4_fcn_50",         "DANet",        4,   "resnet_50",  "fcn",         None,  "danet_voc",          "val",  _ONE,          False,  None,  "unread",  _TEST),
    ("danet_table4_dual_50",        "DANet",        4,   "resnet_50",  "dual",        None,  "danet_voc",          "val",  _ONE,          False,  None,  "unread",  _TEST),
    ("danet_table4_dual_101",       "DANet",        4,   "resnet_101", "dual",        None,  "danet_voc",          "val",  _ONE,          False,  80.4,  "text",    _TEST),
    ("danet_table5",                "DANet",        5,   "resnet_101", "dual",        None,  "danet_voc_trainval", "test", DANET_SCALES,  False,  82.6,  "text",    _TEST),
    ("danet_table6_fcn_50",         "DANet",        6,   "resnet_50",  "fcn",         None,  "danet_context",      "val",  DANET_SCALES,  False,  44.3,  "text",    _TEST),
    ("danet_table6_dual_50",        "DANet",        6,   "resnet_50",  "dual",        None,  "danet_context",      "val",  DANET_SCALES,  False,  50.1,  "text",    _TEST),
    ("danet_table6_dual_101",       "DANet",        6,   "resnet_101", "dual",        None,  "danet_context",      "val",  DANET_SCALES,  False,  52.6,  "text",    _TEST),
    ("danet_table7_fcn_50",         "DANet",        7,   "resnet_50",  "fcn",         None,  "danet_coco",         "test", DANET_SCALES,  False,  None,  "unread",  _TEST),
    ("danet_table7_dual_50",        "DANet",        7,   "resnet_50",  "dual",        None,  "danet_coco",         "test", DANET_SCALES,  False,  None,  "unread",  _TEST),
    ("danet_table7_dual_101",       "DANet",        7,   "resnet_101", "dual",        None,  "danet_coco",         "test", DANET_SCALES,  False,  39.7,  "text",    _TEST),
    ("danet_code",                  "DANet code",   None,"resnet_101", "dual",        _GRID, "danet_code",         "val",  _ONE,          True,   79.93, "text",    ()),
    ("danet_code_multi_scale",      "DANet code",   None,"resnet_101", "dual",        _GRID, "danet_code",         "val",  DANET_SCALES,  True,   81.49, "text",    ()),
    ("dfdam_table1_sum_50",         "DF-DAM",       1,   "resnet_50",  "sum",         None,  "dfdam_voc",          "val",  _ONE,          False,  68.2,  "text",    ()),
    ("dfdam_table1_dafm_50",        "DF-DAM",       1,   "resnet_50",  "dafm",        None,  "dfdam_voc",          "val",  _ONE,          False,  73.7,  "text",    ()),
    ("dfdam_table1_pam2d_50",       "DF-DAM",       1,   "resnet_50",  "dafm+pam2d",  None,  "dfdam_voc",          "val",  _ONE,          False,  74.6,  "text",    ()),
    ("dfdam_table1_sum_101",        "DF-DAM",       1,   "resnet_101", "sum",         None,  "dfdam_voc",          "val",  _ONE,          False,  72.9,  "text",    ()),
    ("dfdam_table1_dafm_101",       "DF-DAM",       1,   "resnet_101", "dafm",        None,  "dfdam_voc",          "val",  _ONE,          False,  76.8,  "text",    ()),
    ("dfdam_table1_pam2d_101",      "DF-DAM",       1,   "resnet_101", "dafm+pam2d",  None,  "dfdam_voc",          "val",  _ONE,          False,  77.9,  "text",    ()),
    ("dfdam_table2_sum",            "DF-DAM",       2,   "resnet_18",  "sum",         None,  "dfdam_city",         "val",  _ONE,          False,  70.3,  "text",    ()),
    ("dfdam_table2_dafm",           "DF-DAM",       2,   "resnet_18",  "dafm",        None,  "dfdam_city",         "val",  _ONE,          False,  72.8,  "text",    ()),
    ("dfdam_table2_pam2d",          "DF-DAM",       2,   "resnet_18",  "dafm+pam2d",  None,  "dfdam_city",         "val",  _ONE,          False,  73.1,  "text",    ()),
    ("dfdam_table3_single",         "DF-DAM",       3,   "resnet_18",  "dafm+pam2d",  None,  "dfdam_city",         "val",  _ONE,          False,  73.1,  "text",    ()),
    ("dfdam_table3_multi_scale",    "DF-DAM",       3,   "resnet_18",  "dafm+pam2d",  None,  "dfdam_city",         "val",  DFDAM_SCALES,  False,  74.6,  "text",    ()),
    ("dfdam_table3_flip",           "DF-DAM",       3,   "resnet_18",  "dafm+pam2d",  None,  "dfdam_city",         "val",  DFDAM_SCALES,  True,   74.9,  "text",    ()),
    ("dfdam_table4",                "DF-DAM",       4,   "resnet_18",  "dafm+pam2d",  None,  "dfdam_city",         "test", DFDAM_SCALES,  True,   73.6,  "text",    ()),
    ("dfdam_table5_single",         "DF-DAM",       5,   "resnet_101", "dafm+pam2d",  None,  "dfdam_voc",          "val",  _ONE,          False,  77.90, "text",    ()),
    ("dfdam_table5_multi_scale",    "DF-DAM",       5,   "resnet_101", "dafm+pam2d",  None,  "dfdam_voc",          "val",  DFDAM_SCALES,  False,  79.55, "text",    ()),
    ("dfdam_table5_flip",           "DF-DAM",       5,   "resnet_101", "dafm+pam2d",  None,  "dfdam_voc",          "val",  DFDAM_SCALES,  True,   79.83, "text",    ()),
    ("dfdam_table6",                "DF-DAM",       6,   "resnet_101", "dafm+pam2d",  None,  "dfdam_voc_trainval", "test", DFDAM_SCALES,  True,   82.3,  "text",    ()),
)
# fmt: on


def _recipe(
    name,
    paper,
    table,
    backbone,
    modules,
    multi_grid,
    training,
    test_split,
    test_scales,
    test_flip,
    miou,
    source,
    inferred,
):
    """One row of `_RESULTS` joined with its row of `_TRAINING`."""
    *settings, also_inferred = _TRAINING[training]
    data_set, train_split, *numbers = settings
    model = name.partition("_")[0]
    return Recipe(
        name,
        paper,
        table,
        model,
        backbone,
        modules,
        multi_grid,
        data_set,
        train_split,
        test_split,
        *numbers,
        test_scales,
        test_flip,
        miou,
        source,
        (*also_inferred, *inferred),
    )


# Table 7 of DF-DAM is table 6's row, class by class.
RECIPES = {row[0]: _recipe(*row) for row in _RESULTS}
