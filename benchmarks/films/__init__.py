"""Films whose truth is known: the labels, and the scripts that move the robots."""
