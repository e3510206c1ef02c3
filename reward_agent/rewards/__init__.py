"""The reward language: what a program may say, how it is checked, compiled, called and tried.

Reading order: ``language.py`` (the allow-lists), ``checks.py`` and ``rules/`` (a program's text →
findings), ``program.py`` (compile and call), ``guards.py`` (what is decided about values as they
come), ``trial.py`` (the probe), ``library.py`` (helpers).

Four layers stand between generated code and the user; each is tested without the others:

1. Static rules, in the parent: every node, name, attribute and import must be on a list. Bounded
   for any text; nothing is run.
2. Facade and guards, in the child: ``np`` and ``math`` have only the names of the lists, arrays
   hold numbers, text shows no addresses, what a module keeps is plain and frozen.
3. The contract, at every call: inputs are read-only, results are copied and must have the right
   form, finite and of bounded size; processor time and memory of a call are bounded.
4. The sandbox around the child (``reward_agent/sandbox``): whatever the first three miss.
"""
