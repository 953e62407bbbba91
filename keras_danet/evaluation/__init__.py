"""Scores of whole images beside the protocol that they depend on."""

from keras_danet.evaluation.evaluation import Evaluation, evaluate

__all__ = ["evaluate", "Evaluation"]
