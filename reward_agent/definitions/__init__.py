"""An environment and its tasks as data: cards, field sources, tasks, constants, where data lies."""
