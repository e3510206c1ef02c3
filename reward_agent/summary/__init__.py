"""What policies do, in numbers and words: pure functions of recorded arrays."""
