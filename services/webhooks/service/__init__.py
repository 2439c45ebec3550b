"""The use cases: receiving, applying, comparing, and answering operators."""
