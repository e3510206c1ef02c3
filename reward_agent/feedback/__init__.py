"""A person in the loop: one session library behind the terminal and the page.

records.py   what a session is made of; feedback/session.jsonl, append-only
ratings.py   preferences → ratings with intervals, and the pair to ask about next
state.py     what there is to see: candidates, ratings, films, changes, which one words change
rounds.py    a person's words, or their program, as a round of the run
metric.py    the metric in words, in code and on what was recorded; change it and score again
session.py   ``open_session``: everything that a front end does is a method of it
"""
