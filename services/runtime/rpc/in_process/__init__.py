"""The in-process channel: an exchange, and the ends that caller and handler hold of it."""
