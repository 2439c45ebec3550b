"""The ledger: the double-entry journal of all money that moves, and the only part that adds it up.

It owns the schema `ledger`. The orchestrator's poster writes to it, operators and reconciliation
read it; nobody else computes a balance. It adds balanced transactions and changes nothing, ever.
"""
