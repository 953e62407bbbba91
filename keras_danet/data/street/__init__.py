"""The parts of a synthetic street scene."""
