"""Signatures, deliveries, and what becomes of an event: pure, on a time that is given."""
