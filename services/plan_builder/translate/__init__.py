"""The plan builder's messages and its domain, each in terms of the other."""
