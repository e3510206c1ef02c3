"""The stages of one iteration, in order: draft, train, evaluate, explain."""
