"""Describe a behaviour in words, get a reward function that a policy was trained with."""

__version__ = "0.1.0"
