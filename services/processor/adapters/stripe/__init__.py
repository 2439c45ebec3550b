"""Stripe, through its official SDK.

Reading order: adapter, requests, verdicts, refusals, answers, events, api, transport, account.
"""
