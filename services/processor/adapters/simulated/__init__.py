"""A processor inside the process, for benchmarks and trials.

Reading order: adapter, cards, faults, events, account.
"""
