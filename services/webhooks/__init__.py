"""Webhooks: what processors tell unasked, and what they should have told and did not.

It owns the schema `webhooks`. The gateway hands it each delivery as it came; it verifies, stores
and answers, and applies the event afterwards through the orchestrator. It compares what it was told
with what processors list, and fetches the difference. Reading order: domain/signature,
domain/delivery, service/receiving, store/events, workers, service/applying, service/comparing.
"""
