"""What the messages of several services have in common, in terms of the kernel's words.

Pure, and the one part of the runtime that a `translate` may import: it knows no service, no channel
and no database.
"""
