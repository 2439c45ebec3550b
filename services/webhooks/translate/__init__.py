"""The webhooks' messages and their domain, each in terms of the other."""
