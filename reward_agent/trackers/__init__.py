"""A run in a tracker: TensorBoard, Weights & Biases or MLflow.

A tracker is one class with the four methods of ``registry.Tracker`` and a row in
``registry.TRACKERS``; a stranger's is an entry point of the group ``reward_agent.trackers``. It
runs in the parent and is fed from the run's directory: no child knows of it, or of its key.
"""
