"""Merchant configuration: every version of how each merchant's payments are handled.

It owns the schema `config`. Operators write to it, the plan builder, the orchestrator and the
gateway read it. A version never changes: a change makes the next one, checked as a whole first.
"""
