"""Recorded episodes as pictures."""
