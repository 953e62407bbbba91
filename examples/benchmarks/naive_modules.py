"""The published attention modules, written plainly in PyTorch: the yardstick."""

import torch
from torch.nn.functional import conv2d


def naive_pam(x, *weights):
    """(B, C, H, W) -> the same, through the whole (B, N, N) matrix of scores.

    `weights`: gamma, then kernel and bias of the query, the key and the value.
    """
    gamma, query, query_bias, key, key_bias, value, value_bias = weights
    query = conv2d(x, query, query_bias).flatten(2)  # (B, d, N)
    key = conv2d(x, key, key_bias).flatten(2)  # (B, d, N)
    value = conv2d(x, value, value_bias).flatten(2)  # (B, C, N)
    scores = torch.softmax(query.transpose(1, 2) @ key, dim=-1)  # (B, N, N)
    attended = value @ scores.transpose(1, 2)  # (B, C, N)
    return gamma * attended.view_as(x) + x


def naive_cam(x, gamma):
    """(B, C, H, W) -> the same, with the energies of the published code."""
    features = x.flatten(2)  # (B, C, N)
    energy = features @ features.transpose(1, 2)  # (B, C, C)
    energy = energy.amax(-1, keepdim=True) - energy
    attended = torch.softmax(energy, dim=-1) @ features  # (B, C, N)
    return gamma * attended.view_as(x) + x
