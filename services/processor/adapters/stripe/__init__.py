"""Stripe, through its official SDK.

Reading order: adapter, verdicts, refusals, answers, events, api, transport, account.
"""
