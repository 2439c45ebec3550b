"""What a payment processor knows and does: entities and their state machines.

Nothing here knows of HTTP or of storage. Rules read and change entities through a Work, which
gathers what changed; whoever opened the Work makes it durable, all of it or nothing.
"""
