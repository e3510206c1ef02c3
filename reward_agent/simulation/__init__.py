"""Environments as data, and the batched simulation of them."""
