"""Sweeps: tasks x methods x seeds, with honest statistics."""
