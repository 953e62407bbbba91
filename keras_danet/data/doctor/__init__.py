"""The doctor: finds what is wrong with a data set before it costs a training run."""

from keras_danet.data.doctor.consultation import check
from keras_danet.data.doctor.report import Finding, Report

__all__ = ["Finding", "Report", "check"]
