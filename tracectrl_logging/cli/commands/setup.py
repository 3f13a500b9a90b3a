"""``tracectrl-logs setup``: the tables of a store of many machines."""

from __future__ import annotations

import click

from tracectrl_logging.cli.errors import UnusableError
from tracectrl_logging.cli.options import store_option
from tracectrl_logging.cli.quantities import days
from tracectrl_logging.cli.text import shown


@click.command(short_help="Make a ClickHouse database ready for sessions.")
@store_option
@click.option("--print", "only_print", is_flag=True, help="Print the statements and run none.")
@click.option(
    "--ttl",
    "ttl_days",
    type=days,
    metavar="TIME",
    help="Keep rows for so many whole days: 30d.  [default: as it is; new tables keep all]",
)
def setup(url: str, *, only_print: bool, ttl_days: int | None) -> None:
    """Add to the tables of OpenTelemetry's exporter what makes sessions quick to find, and lines whole.

    Nothing is taken away or changed but by --ttl: collectors and dashboards go on with the same rows. Where there
    are no tables, they are made as the exporter makes them. A second time there is nothing to do. Rows that were
    there before are not indexed anew: they are found as before.

    \b
    Examples:
      tracectrl-logs setup --to clickhouses://admin@ch.example/otel --print
      tracectrl-logs setup --to clickhouses://admin@ch.example/otel --ttl 30d

    Exit status: 0 all is there, 2 wrong use, or the server cannot be reached or refuses.
    """  # noqa: D301 - \b is click's mark for a paragraph that keeps its lines
    from tracectrl_logging.shipping.tables import missing  # noqa: PLC0415 - not for ``--help``
    from tracectrl_logging.shipping.target import connected  # noqa: PLC0415 - as above

    try:
        connection, address = connected(url)
    except (ValueError, ImportError) as error:
        raise UnusableError(shown(str(error))) from error
    count = 0
    for count, statement in enumerate(missing(connection, address.database, ttl_days), 1):  # noqa: B007 - how many
        click.echo(f"{statement};")
        if not only_print:
            connection.run(statement)
    if not count:
        click.echo(f"nothing to do in {address.name}", err=True)
