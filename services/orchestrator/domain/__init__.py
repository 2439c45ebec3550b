"""The words and rules of the orchestrator: payments, steps, attempts, postings, keys."""
