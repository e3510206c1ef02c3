"""Control of runs from outside: how far they are, what they wait for, their end."""
