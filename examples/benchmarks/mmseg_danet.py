"""mmsegmentation's DANet-50, in PyTorch eager: the comparator.

It is this benchmark's own optional dependency:

    pip install --no-deps mmsegmentation==1.2.2 mmcv-lite==2.1.0 mmengine==0.10.7 \\
        addict yapf termcolor rich ftfy regex prettytable
"""

import importlib.machinery
import sys
import types

_BATCH_NORMALIZATION = {"type": "BN", "requires_grad": True}


class _AbsentOperators(types.ModuleType):
    """Stands for mmcv's compiled operators, none of which DANet calls."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def absent(*args, **kwargs):
            raise RuntimeError(f"mmcv's operator {name} is not installed.")

        return absent


def mmseg_danet(num_classes=19, seed=0, backbone="ResNetV1c"):
    """The model in inference mode, with random weights and both gammas at 0.7.

    "ResNetV1c" has a stem of three convolutions, "ResNet" the one of 7x7.
    """
    import torch

    stub = _AbsentOperators("mmcv._ext")
    stub.__spec__ = importlib.machinery.ModuleSpec("mmcv._ext", None)
    sys.modules.setdefault("mmcv._ext", stub)
    import mmseg.models  # noqa: F401  registers the modules named below
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    init_default_scope("mmseg")
    torch.manual_seed(seed)
    model = MODELS.build(
        {
            "type": "EncoderDecoder",
            "backbone": _backbone(backbone),
            "decode_head": _head(num_classes),
            "test_cfg": {"mode": "whole"},
        }
    )
    with torch.no_grad():
        model.decode_head.pam.gamma.scale.fill_(0.7)
        model.decode_head.cam.gamma.scale.fill_(0.7)
    return model.eval()


def eager(model):
    """Images (1, H, W, 3) -> logits (1, H, W, K), of the model in PyTorch eager."""
    import torch

    def predict(images):
        shape = images.shape[1:3]
        metas = [{"img_shape": shape, "ori_shape": shape}]
        x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            return model.encode_decode(x, metas).permute(0, 2, 3, 1).numpy()

    return predict


def _backbone(kind):
    return {
        "type": kind,
        "depth": 50,
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "dilations": (1, 1, 2, 4),
        "strides": (1, 2, 1, 1),
        "norm_cfg": _BATCH_NORMALIZATION,
        "style": "pytorch",
        "contract_dilation": True,
    }


def _head(num_classes):
    return {
        "type": "DAHead",
        "in_channels": 2048,
        "in_index": 3,
        "channels": 512,
        "pam_channels": 64,
        "num_classes": num_classes,
        "norm_cfg": _BATCH_NORMALIZATION,
        "align_corners": False,
        "loss_decode": {"type": "CrossEntropyLoss"},
    }
