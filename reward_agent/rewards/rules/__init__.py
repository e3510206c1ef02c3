"""The static rules: each is one function that yields findings on a program."""
