"""Training a policy: the learners, snapshots and checkpoints."""
