"""payment-cli demo: starts everything from nothing and shows what it does, scene by scene.

The platform runs as `payment-cli up` runs it, and is called over HTTP with a merchant's key; an
operator's command is payment-cli's. What is not what it should be ends the demo with exit code 1.
Reading order: scene, stage, then the acts below, one file each.
"""

import click

from cli.demo import asking, crash, keys, money_back, taking, telling, trouble
from cli.demo.scene import Screen
from cli.demo.stage import Stage, opened


@click.command()
@click.pass_context
def demo(context: click.Context) -> None:
    """Start everything in a folder of its own, show what it does, and clean up."""
    screen = Screen.on_terminal()
    screen.line("", "Switchyard, from nothing: database, processor, services, HTTP …", "bold")
    try:
        with opened(screen) as stage:
            screen.line("", f"ready after {screen.seconds:.1f} s", "dim")
            play(stage)
    except Exception as error:  # noqa: BLE001 -- whatever it was, it is told where it happened
        click.echo(f"payment-cli: {screen.title}: {type(error).__name__}: {error}", err=True)
        context.exit(1)
    screen.console.print()
    screen.line(
        "",
        f"{screen.check_count} checks in {screen.scene_count} scenes held,"
        f" in {screen.seconds:.0f} s. Everything was as it should be.",
        "bold",
    )
    screen.line("", "Next: make run keeps all of it running; docs/quickstart.md says what to type.")


def play(stage: Stage) -> None:
    """The whole story."""
    held = asking.ask(stage)
    authenticated = taking.authenticate(stage)
    taking.capture(stage, held)
    failed_over = trouble.lose_a_processor(stage)
    trouble.lose_a_reply(stage)
    trouble.repeat_a_webhook(stage, authenticated)
    money_back.refund(stage, held)
    keys.reuse_a_key(stage)
    money_back.dispute(stage, authenticated)
    crash.crash(stage)
    telling.explain(stage, failed_over)
    telling.consult(stage)
