"""Designer, Critic and Analyzer: one language-model role each, with its own prompts."""
