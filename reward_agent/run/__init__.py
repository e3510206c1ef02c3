"""The stages of one iteration, in order: draft, train, judge, explain."""
