"""The use cases of the orchestrator: what is asked of it, carrying it out, and booking it."""
