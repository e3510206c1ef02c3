"""Training a policy: PPO, its gradients, snapshots and checkpoints; racing decides who goes on."""
