"""Access: who the merchants are, which keys they and the operators hold, and who a caller is.

It owns the schema `access`. Operators write to it; the gateway asks it about every caller. A key is
shown once and kept as a digest, and what is known of it can only be restricted: a key never comes
back, and never comes to allow more.
"""
