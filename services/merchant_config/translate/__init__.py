"""Configurations as messages and as stored text, each in terms of the domain."""
