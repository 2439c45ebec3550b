"""How long one example of a property takes says nothing on a machine that is shared."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
