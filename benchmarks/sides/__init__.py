"""What runs in the processes of a benchmark: our trainings, and those they are compared with."""
