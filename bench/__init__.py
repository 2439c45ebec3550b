"""Measurements that back the figures in the documents: `python -m bench <name>`."""
