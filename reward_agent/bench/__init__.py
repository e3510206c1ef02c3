"""Benchmarks: what this program promises, measured. Run by ``scripts/bench``."""
