"""From a robot's model to an environment's folder: card, tasks with their metrics, a picture.

``source`` and ``folder`` are the parent's; what touches MuJoCo runs in a child, the job ``draft``.
"""
