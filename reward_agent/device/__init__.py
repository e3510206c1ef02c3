"""A round of trainings on one device: programs and fields cross as lists of operations.

What generated code would do is data here, verified before it runs; see ``operations``.
"""
