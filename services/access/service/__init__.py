"""The use cases of access: merchants, keys, and who a caller is."""
