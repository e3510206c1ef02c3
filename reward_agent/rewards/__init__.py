"""The reward language: what a program may say, how it is checked, compiled, called and tried.

Reading order: ``language.py`` (the allow-lists), ``checks.py`` and ``rules/`` (a program's text →
findings), ``program.py`` (compile and call), ``trial.py`` (the probe), ``library.py`` (helpers).

Four layers stand between generated code and the user; each is tested without the others:

1. Static rules, in the parent: every node, name, attribute, keyword, dtype and loop must be on a
   list. Bounded for any text; nothing is run.
2. The facade, in the child: ``np`` and ``math`` have only the names of the lists, there are about
   fifty builtins, and imports reach nothing else.
3. The contract, at every call: inputs are read-only, lists and arrays of the module are frozen,
   results are copied and must have the right form, finite and of bounded size.
4. The sandbox around the child (``reward_agent/sandbox``): whatever the first three miss.

Not covered here, but by the sandbox's limits: programs that take long or much memory within what
the rules can bound, such as texts or integers that double in a loop.
"""
