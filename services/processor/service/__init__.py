"""The use cases of the processors, and the port that every adapter implements."""
