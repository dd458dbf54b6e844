"""A click group that imports a command when it is used: torch takes seconds to import."""

from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group of commands that are imported on demand.

    Args:
        commands_from: name → (module, one line of help); the module holds the command as
            `command`.
    """

    def __init__(
        self, *args: Any, commands_from: dict[str, tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.commands_from = commands_from or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order given."""
        return list(self.commands_from)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or None where there is none of that name."""
        if cmd_name not in self.commands_from:
            return None
        command: click.Command = import_module(self.commands_from[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their help, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_from.items()])
