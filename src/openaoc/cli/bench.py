"""CLI: `openaoc bench NAME`: one of the measurements in openaoc.bench, with its own options."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, Final

import rich_click as click

from openaoc.cli.logs import configure
from openaoc.cli.output import json_option, show_json, working

BENCHES: Final = {
    "trace": "Traces a second, beside PostgreSQL and DuckDB.",
    "ingest": "Transfers a second into the ledger, durable before acknowledged.",
    "restart": "Seconds from start to the first trace.",
    "report": "Report received until every order is on the wire.",
    "pursuit": "Money moves on until the pursuit's next order is committed.",
    "taxii": "Objects a second over TAXII 2.1, beside OpenTAXII.",
    "match": "Two centres find what both know, without showing the rest.",
}
_KINDS: Final[dict[str, click.ParamType[Any]]] = {
    "int": click.IntRange(min=1),
    "float": click.FloatRange(min=0, min_open=True),
    "str": click.STRING,
    "bool": click.BOOL,
}


class BenchGroup(click.RichGroup):
    """Turns each bench module's `run(*, …)` into a command with an option per argument."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The measurements by name."""
        return list(BENCHES)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """A stand-in with the line of the overview; see resolve_command."""
        if cmd_name not in BENCHES:
            return None
        return click.RichCommand(name=cmd_name, help=BENCHES[cmd_name])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The measurement to run, imported."""
        name = args[0]
        if name not in BENCHES:
            return super().resolve_command(ctx, args)
        return name, _command(name), args[1:]


def _command(name: str) -> click.Command:
    run: Callable[..., Any] = importlib.import_module(f"openaoc.bench.{name}").run

    @json_option
    def call(*, as_json: bool, **options: Any) -> None:
        configure(level="error")
        with working(f"measuring: {name}"):
            result = run(**options)
        if as_json:
            show_json(result)
        else:
            _show(result)

    options: list[click.Parameter] = []
    for parameter in inspect.signature(run).parameters.values():
        kind = str(parameter.annotation).removesuffix(" | None")
        if kind not in _KINDS:
            continue
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        options.append(
            click.Option(
                [f"--{parameter.name.replace('_', '-')}", parameter.name],
                type=_KINDS[kind],
                default=default,
                required=parameter.default is inspect.Parameter.empty,
                show_default=default is not None,
            )
        )
    built = click.command(name, help=BENCHES[name])(call)
    built.params = [*options, *built.params]
    return built


def _show(result: Any) -> None:
    import msgspec

    _lines(msgspec.to_builtins(result), indent="")


def _lines(value: Any, *, indent: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, dict | list):
                click.echo(f"{indent}{name}")
                _lines(item, indent=indent + "  ")
            else:
                click.echo(f"{indent}{name:<32} {_figure(item)}")
    elif isinstance(value, list):
        for item in value:
            _lines(item, indent=indent + "- ")
    else:
        click.echo(f"{indent}{_figure(value)}")


def _figure(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


@click.group(cls=BenchGroup, help="Measure this machine.")
def command() -> None:
    """Measurements."""
