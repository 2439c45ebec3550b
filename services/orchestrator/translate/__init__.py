"""The orchestrator's messages and its domain, each in terms of the other."""
