"""What the attention modules see, what they are worth, and whether they learn."""

from keras_danet.explanation.ablation import ablate
from keras_danet.explanation.explanation import Explanation, explain
from keras_danet.explanation.health import AttentionHealth

__all__ = ["explain", "Explanation", "ablate", "AttentionHealth"]
