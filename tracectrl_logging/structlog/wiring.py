"""structlog's part of :func:`tracectrl_logging.configure`: its events go through a chain that ends in ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from tracectrl_logging.structlog.chain import RecordMaker
from tracectrl_logging.structlog.loggers import NamedLoggers, StdlibLoggers
from tracectrl_logging.structlog.rendering import says_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracectrl.redaction import Redact


def before_renderer(processors: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Return *processors* in front of the renderer, and the others: it, and what follows it.

    The renderer is the first of structlog's own that says all of an event; without one, the last.
    """
    chain = [*processors]
    first = next((at for at, it in enumerate(chain) if says_all(it)), max(0, len(chain) - 1))
    return chain[:first], chain[first:]


class _Ours(list[Any]):
    """The processors of a chain that ends in ours."""

    before: dict[str, Any] | None
    """structlog's configuration before; ``None`` where there was none."""

    def __reduce__(self) -> tuple[Any, ...]:
        """A logger that is pickled or copied takes its processors along, and no configuration."""
        return list, (list(self),)


def wire(level: int, redact: Redact | None) -> Callable[[], None]:
    """Configure structlog to log through the standard library; return what puts it back.

    Where it does already, by an earlier call, what was before that is kept. The application's
    processors stay in front, and its wrapper class. Where it has configured no such class, events
    below *level* are held back by structlog.
    """
    before = structlog.get_config() if structlog.is_configured() else None
    if before is not None and isinstance(before["processors"], _Ours):
        before = before["processors"].before
    front: list[Any] = [structlog.contextvars.merge_contextvars]
    end: list[Any] = []
    # structlog knows the usual levels; the logger behind it holds back what is in between.
    wrapper: Any = structlog.make_filtering_bound_logger(max(0, min(level // 10 * 10, 50)))
    factory: Any = StdlibLoggers()
    ignored: Any = ()
    if before is not None:
        if before["wrapper_class"] is not structlog.make_filtering_bound_logger(0):
            wrapper = before["wrapper_class"]
        if not _is_default(before):
            front, end = before_renderer(before["processors"])
            factory = before["logger_factory"]
            ignored = getattr(factory, "_ignore", None) or ()
            if not isinstance(factory, structlog.stdlib.LoggerFactory):
                factory = NamedLoggers(factory)
    maker = RecordMaker(front, end, redact=redact, ignored=tuple(ignored))
    ours = _Ours([*front, maker])
    ours.before = before
    structlog.configure(
        processors=ours,
        wrapper_class=wrapper,
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )

    def put_back() -> None:
        if structlog.get_config()["processors"] is not ours:
            return  # somebody else has configured it since: that is theirs
        if before is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**before)

    return put_back


def _is_default(config: dict[str, Any]) -> bool:
    """Tell whether the processors and the loggers of *config* are those that nobody has chosen."""
    default = getattr(structlog._config, "_BUILTIN_DEFAULT_PROCESSORS", ())  # noqa: SLF001
    processors = config["processors"]
    return (
        isinstance(processors, list)
        and len(processors) == len(default)
        and all(one is other for one, other in zip(processors, default, strict=True))
        and type(config["logger_factory"]) is structlog.PrintLoggerFactory
        and config["wrapper_class"].__module__.partition(".")[0] in ("structlog", "abc")
    )
