"""The processors: one account at one payment processor each, all spoken to in the same words.

It owns the adapters and the processors' secrets, and keeps no table. The router sends it attempts
that the orchestrator has committed; the webhook inbox has it read what processors deliver. Whatever
a processor does, the answer is a Result. Reading order: domain, service, adapters/simulated,
adapters/stripe/adapter, configuration.
"""
