"""A person's reward, translated to the reward language."""
