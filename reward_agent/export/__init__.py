"""A run's reward and policy as files that need nothing of this project."""
