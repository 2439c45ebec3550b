"""A group of commands whose help says of each one all that its first sentence says."""

from typing import Final

import click

_SENTENCE_MAX: Final = 150


class CommandGroup(click.Group):
    """Click's own cuts each sentence off where its line ends."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sentences whole, on as many lines as they take."""
        listed = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(_SENTENCE_MAX)) for name, each in listed if each]
            )
