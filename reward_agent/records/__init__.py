"""Closed records: jobs, the run directory, settings, limits, where time goes."""
