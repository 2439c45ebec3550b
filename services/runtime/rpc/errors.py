"""What goes wrong with a server or channel before there is any call."""

from services.runtime.startup import StartupError


class ChannelError(StartupError):
    """A server cannot listen, or a channel cannot be made; one line that says what to do."""
