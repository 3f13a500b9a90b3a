"""The eighteen measures of the write path, each with what it may be at most.

A measure returns its figure, figures to be shown beside it, and the times that they come from. Where
the package that it compares with is not installed it returns nothing.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import logging
import os
import resource
import statistics
import threading
import time
from dataclasses import dataclass, field
from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING, Any

import orjson
import peers
import structlog
from content import (
    ARGUMENT,
    MESSAGE,
    FilterByHand,
    add_by_hand,
    in_session_and_span,
    keyword_calls,
    provider,
    stdlib_calls,
    stdlib_logger,
    tracer,
)
from harness import (
    Contender,
    Figure,
    figure_of,
    is_installed,
    ratio,
    rounds_of,
    without_collector,
)
from opentelemetry import context as otel_context
from opentelemetry import trace
from processes import import_times, resident_growth

from tracectrl.attributes import described
from tracectrl.session import session
from tracectrl_logging import (
    SessionContextFilter,
    SessionFileHandler,
    SessionFileLoggerFactory,
    SessionJSONRenderer,
    add_session_context,
)
from tracectrl_logging.line.encoder import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness import Times

OURS = "tracectrl-logging, logging"
OURS_ALL = "tracectrl-logging, logging, every option on"
OURS_STRUCTLOG = "tracectrl-logging, structlog"
_SETTLED_S = 3.0
RESULTS = os.path.join(os.path.dirname(__file__), "results")


@dataclass(frozen=True)
class Scale:
    """How much is done: *rounds* of a measure, and *part* of the sessions and calls it names."""

    rounds: int
    part: float = 1.0

    def of(self, count: int, least: int = 2) -> int:
        """Return that part of *count*."""
        return max(least, int(count * self.part))


@dataclass(frozen=True)
class Measured:
    """What a measure found."""

    figure: Figure
    beside: dict[str, Figure] = field(default_factory=dict)
    times: Times = field(default_factory=dict)


def calls_into_files(root: str, scale: Scale) -> dict[int, Measured]:
    """Rows 1 to 3: everybody writes the same line to a file."""
    handler = peers.session_handler(root)
    every_option = SessionFileHandler(
        os.path.join(root, "every-option"),
        max_bytes=1 << 30,
        backup_count=3,
        redact=["password"],
        service_name="shop",
        max_sessions_per_minute=1000,
    )
    factory = SessionFileLoggerFactory(os.path.join(root, "structlog"))
    contenders = [
        *peers.floors(root),
        peers.stdlib_contender(OURS, handler),
        peers.stdlib_contender(OURS_ALL, every_option),
        Contender(OURS_STRUCTLOG, keyword_calls(our_structlog(factory))),
        *peers.json_loggers(root),
        *peers.structlogs(root),
        *peers.opentelemetry_logging(root),
        *peers.loguru(root),
        *peers.asgi_correlation_id(root),
    ]
    with in_session_and_span():
        times = rounds_of(contenders, calls=100, rounds=scale.rounds * 2, warm_up=20)
    return {
        1: Measured(
            ratio(times, OURS, peers.JSON_LOGGER, peers.NULL),
            {"every option on": ratio(times, OURS_ALL, peers.JSON_LOGGER, peers.NULL)},
            times,
        ),
        2: Measured(
            ratio(times, OURS, peers.JSON_LOGGER),
            {
                "every option on": ratio(times, OURS_ALL, peers.JSON_LOGGER),
                "of its orjson formatter": ratio(times, OURS, f"{peers.JSON_LOGGER}, orjson"),
            },
        ),
        3: Measured(
            ratio(times, OURS_STRUCTLOG, peers.BYTES_LOGGER),
            {"of WriteLogger": ratio(times, OURS_STRUCTLOG, "structlog + WriteLogger")},
        ),
    }


def our_structlog(factory: SessionFileLoggerFactory) -> Any:
    """Return the structlog logger of the README's section on structlog."""
    return peers.structlog_logger(
        factory(),
        [structlog.contextvars.merge_contextvars, add_session_context, SessionJSONRenderer()],
    )


def stamp_alone(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 4: the filter and the processor by themselves, on records and events made before."""
    del root
    calls = 200
    filters = {"": SessionContextFilter(), " by hand": FilterByHand()}
    processors: dict[str, Any] = {"": add_session_context, " by hand": add_by_hand}
    made = Made(calls)
    contenders = [
        *(
            Contender(f"filter{it}", made.filtering(filters[it].filter), made.anew)
            for it in filters
        ),
        *(
            Contender(f"processor{it}", made.processing(processors[it]), made.anew)
            for it in processors
        ),
        *(
            Contender(f"new span{it}", made.in_new_spans(filters[it].filter), made.anew)
            for it in filters
        ),
        Contender("new span, no stamp", made.in_new_spans(id), made.anew),
    ]
    with in_session_and_span():
        times = rounds_of(contenders, calls=calls, rounds=scale.rounds * 2)
    both = {name: ratio(times, name, f"{name} by hand") for name in ("filter", "processor")}
    first = ratio(times, "new span", "new span by hand", "new span, no stamp")
    worst = max(both.values(), key=lambda figure: figure.median)
    return {4: Measured(worst, {**both, "first record of a new span": first}, times)}


class Made:
    """Records, events and contexts of spans that are there before the clock starts."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._logger = stdlib_logger("stamp")
        self._spans = [tracer.start_span("s") for _ in range(count)]

    @contextlib.contextmanager
    def anew(self) -> Iterator[None]:
        """Make those that the next round uses up; they are as logging and structlog make them."""
        extra = {"tool": "search", "attempt": 3}
        make = self._logger.makeRecord
        self._records = [
            make("n", logging.INFO, "p", 1, "m", (), None, "f", extra) for _ in self._spans
        ]
        self._events: list[dict[str, Any]] = [{"event": "m", **extra} for _ in self._spans]
        self._contexts = [trace.set_span_in_context(span) for span in self._spans]
        yield

    def filtering(self, stamp: Callable[[logging.LogRecord], object]) -> Callable[[int], None]:
        """Return what calls *stamp* with records."""

        def run(count: int) -> None:
            for record in islice(self._records, count):
                stamp(record)

        return run

    def processing(self, processor: Any) -> Callable[[int], None]:
        """Return what calls *processor* with events."""

        def run(count: int) -> None:
            for event in islice(self._events, count):
                processor(None, "info", event)

        return run

    def in_new_spans(self, stamp: Callable[[logging.LogRecord], object]) -> Callable[[int], None]:
        """Return what calls *stamp* with a record in each of many spans."""

        def run(count: int) -> None:
            for context, record in zip(self._contexts, islice(self._records, count), strict=False):
                token = otel_context.attach(context)
                stamp(record)
                otel_context.detach(token)

        return run


def spans(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 5: a span with attributes and an event, through SimpleSpanProcessor to a file."""
    if not is_installed("opentelemetry.exporter.otlp.json.file"):
        return {}
    from opentelemetry.exporter.otlp.json.file.trace_exporter import (  # noqa: PLC0415
        FileSpanExporter as OfficialExporter,
    )
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import (  # noqa: PLC0415
        ConsoleSpanExporter,
        SimpleSpanProcessor,
        SpanExporter,
        SpanExportResult,
    )

    from tracectrl.exporter import FileSpanExporter  # noqa: PLC0415
    from tracectrl.processor import SessionSpanProcessor  # noqa: PLC0415

    class NullExporter(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:
            del spans
            return SpanExportResult.SUCCESS

    def spanning(*processors: Any) -> Callable[[int], None]:
        own = TracerProvider(shutdown_on_exit=False, resource=provider.resource)
        for processor in processors:
            own.add_span_processor(processor)
        start = own.get_tracer("benchmarks").start_span

        def run(calls: int) -> None:
            for _ in repeat(None, calls):
                span = start("chat", attributes={"model": "small", "tokens": 120, "stream": True})
                span.add_event("first token", {"index": 0})
                span.end()

        return run

    def official(stamp: bool) -> Callable[[int], None]:  # noqa: FBT001
        path = os.path.join(root, f"official-{stamp}.jsonl")
        stamps = [SessionSpanProcessor()] if stamp else []
        return spanning(*stamps, SimpleSpanProcessor(OfficialExporter(path)))

    out = open(os.path.join(root, "to-json.jsonl"), "a", encoding="utf-8")  # noqa: SIM115
    to_json = ConsoleSpanExporter(out=out, formatter=lambda it: it.to_json(indent=None) + "\n")
    ours = FileSpanExporter(os.path.join(root, "spans"))
    contenders = [
        Contender("null exporter", spanning(SimpleSpanProcessor(NullExporter()))),
        Contender("ours", spanning(SessionSpanProcessor(), SimpleSpanProcessor(ours))),
        Contender("official JSON file exporter", official(stamp=False)),
        Contender("official, SessionSpanProcessor", official(stamp=True)),
        Contender("to_json() lines", spanning(SimpleSpanProcessor(to_json))),
    ]
    with in_session_and_span():
        times = rounds_of(contenders, calls=50, rounds=scale.rounds * 2, warm_up=10)
    names = "ours", "official JSON file exporter", "null exporter"
    beside = {
        "whole span": ratio(times, *names[:2]),
        "added, of to_json()": ratio(times, "ours", "to_json() lines", "null exporter"),
    }
    return {5: Measured(ratio(times, *names), beside, times)}


def many_sessions(root: str, scale: Scale) -> dict[int, Measured]:
    """Rows 6 and 7: each session in a context of its own, as tasks are, one record by turns."""
    thousand, ten_thousand = scale.of(1000), scale.of(10_000, 20)

    def interleaved(name: str, count: int, at_a_time: int = 1, **options: Any) -> Contender:
        path = os.path.join(root, name)
        handler = (
            SessionFileHandler(path, **options)
            if options
            else BareHandler(path, 1000 if count <= thousand else 0)
        )
        return by_turns(name, stdlib_calls(stdlib_logger(name, handler)), count, at_a_time)

    # So many calls by turns that few find their file due for a look at its path, as in a program
    # that does nothing else.
    one, few, many = "one session", "1000 sessions", "10000 sessions, 512 open files"
    bare, reopened = "1000 sessions, os.write alone", "10000 sessions, open, write, close alone"
    more = "10000 sessions, 512 open files, three records"
    rounds = max(2, scale.rounds // 20)
    found: Times = {}
    for name, count, calls, options in (
        (few, thousand, 20 * thousand, {"max_open_files": thousand}),
        (bare, thousand, 20 * thousand, {}),
        (many, ten_thousand, ten_thousand, {"max_open_files": scale.of(512)}),
        (more, ten_thousand, 3 * ten_thousand, {"max_open_files": scale.of(512), "at_a_time": 3}),
        (reopened, ten_thousand, ten_thousand, {}),
    ):
        base = f"{one}, beside {name}"
        contenders = [interleaved(base, 1, **options), interleaved(name, count, **options)]
        found = {**found, **rounds_of(contenders, calls=calls, rounds=rounds)}
    ratios = {
        name: ratio(found, name, f"{one}, beside {name}")
        for name in (few, bare, many, more, reopened)
    }
    return {
        6: Measured(ratios[few], {"the same line, os.write alone": ratios[bare]}, found),
        7: Measured(
            ratios[many],
            {
                "three records at a time": ratios[more],
                "the same line, open, write, close alone": ratios[reopened],
            },
        ),
    }


def by_turns(name: str, call: Callable[[int], None], count: int, at_a_time: int = 1) -> Contender:
    """Return who calls *call* in *count* sessions, so many times in each before the next."""
    contexts = [task_context(number) for number in range(count)]
    endless = cycle(contexts)

    def run(calls: int) -> None:
        for context in islice(endless, calls // at_a_time):
            context.run(call, at_a_time)

    for context in contexts:  # makes the files, which is not what is measured
        context.run(call, 1)
    return Contender(name, run)


class BareHandler(logging.Handler):
    """The floor of rows 6 and 7: our line by the system calls that nobody can do without.

    Descriptors in a dict, *most* of them, and nothing else: no lock, no look at what became of the
    file, no half line mended, and beyond the bound each line opens and closes its file.
    """

    def __init__(self, root: str, most: int) -> None:
        super().__init__()
        self._encoder = Encoder()
        self._root = root
        self._most = most
        self._open: dict[str, int] = {}
        os.mkdir(root)

    def handle(self, record: logging.LogRecord) -> bool:
        """Append the record's line."""
        sid, line = self._encoder.record(record)
        fd = self._open.get(sid)
        if fd is not None:
            os.write(fd, line)
            return True
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        fd = os.open(f"{self._root}/{sid}.logs.jsonl", flags, 0o600)
        os.write(fd, line)
        if len(self._open) < self._most:
            self._open[sid] = fd
        else:
            os.close(fd)
        return True


def task_context(number: int) -> contextvars.Context:
    """Return the context of a task that is in a session and a span of its own."""

    def enter() -> None:
        session(f"task-{number}").__enter__()
        otel_context.attach(trace.set_span_in_context(tracer.start_span("task")))

    context = contextvars.copy_context()
    context.run(enter)
    return context


def threads(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 8: eight threads, each in a session of its own or with a file of its own."""
    count = 8
    handler = SessionFileHandler(os.path.join(root, "threads"))
    ours = [stdlib_calls(stdlib_logger("threads", handler))] * count
    theirs = []
    for number in range(count):
        path = os.path.join(root, f"thread-{number}.jsonl")
        logger = stdlib_logger(f"thread-{number}", peers.json_logger_handler(path))
        theirs.append(stdlib_calls(logger))

    def together(run_of: list[Callable[[int], None]]) -> Callable[[int], None]:
        def run(calls: int) -> None:
            barrier = threading.Barrier(count + 1)

            def work(number: int) -> None:
                with in_session_and_span(f"thread-{number}"):
                    barrier.wait()
                    run_of[number](calls // count)

            workers = [threading.Thread(target=work, args=(n,)) for n in range(count)]
            for worker in workers:
                worker.start()
            barrier.wait()
            for worker in workers:
                worker.join()

        return run

    contenders = [Contender("ours", together(ours)), Contender("theirs", together(theirs))]
    times = rounds_of(
        contenders,
        calls=scale.of(4000, 16),
        rounds=max(2, scale.rounds // 5),
        clock=time.perf_counter,
    )
    return {8: Measured(ratio(times, "ours", "theirs"), times=times)}


def disabled(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 9: calls below the level, with our handler or chain at the end and without."""

    def debugging(logger: Any, **keywords: Any) -> Callable[[int], None]:
        def run(calls: int) -> None:
            debug = logger.debug
            for _ in repeat(None, calls):
                debug("user %s", "ann", **keywords)

        return run

    factory = SessionFileLoggerFactory(os.path.join(root, "disabled"))
    chain = [structlog.processors.add_log_level, structlog.processors.JSONRenderer()]
    handler = peers.session_handler(root)
    without = peers.structlog_logger(structlog.WriteLogger(), chain)
    contenders = [
        Contender("logging", debugging(stdlib_logger("disabled", handler))),
        Contender("logging without", debugging(stdlib_logger("bare", logging.NullHandler()))),
        Contender("structlog", debugging(our_structlog(factory), attempt=3)),
        Contender("structlog without", debugging(without, attempt=3)),
    ]
    with in_session_and_span():
        times = rounds_of(contenders, calls=2000, rounds=scale.rounds)
    both = {
        "logging": ratio(times, "logging", "logging without"),
        "structlog": ratio(times, "structlog", "structlog without"),
    }
    return {9: Measured(max(both.values(), key=lambda figure: figure.median), both, times)}


def memory(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 10: what a process of its own grows by, in MiB."""
    return {10: Measured(figure_of([resident_growth(root, scale.of(100_000))]))}


def imports(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 11: processes of their own, which import one thing each."""
    del root
    times = import_times(rounds=max(2, scale.rounds // 10))
    beside = {"and every public name": ratio(times, "every name", "what it stands on")}
    return {11: Measured(ratio(times, "ours", "what it stands on"), beside, times)}


def background(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 12: single calls, one by one, while the writer thread writes."""
    waiting = SessionFileHandler(os.path.join(root, "waiting"))
    handing = SessionFileHandler(os.path.join(root, "handing"), background=True)
    loggers = {
        "synchronous": stdlib_logger("waiting", waiting),
        "background": stdlib_logger("handing", handing),
    }
    times: dict[str, list[float]] = {name: [] for name in loggers}
    with in_session_and_span(), without_collector():
        for _ in range(scale.rounds):
            for name, logger in loggers.items():
                times[name].append(statistics.median(single_calls(logger, scale.of(200, 20))))
                handing.flush()
    return {12: Measured(ratio(times, "background", "synchronous"), times=times)}


def single_calls(logger: logging.Logger, count: int) -> list[float]:
    """Return the seconds that each of so many calls took, on the clock on the wall."""
    info, clock = logger.info, time.perf_counter
    taken = []
    for _ in repeat(None, count):
        begin = clock()
        info(MESSAGE, ARGUMENT, extra={"tool": "search", "attempt": 3})
        taken.append(clock() - begin)
    return taken


def rendered_by_others(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 13: lines of structlog's own renderer, into session files and into one file."""
    ours, theirs = "into session files", "into one file"
    factories: dict[str, Any] = {
        ours: SessionFileLoggerFactory(os.path.join(root, "rendered")),
        theirs: peers.bytes_logger_factory(root),
    }
    renderer = structlog.processors.JSONRenderer(serializer=orjson.dumps)
    contenders = [
        Contender(
            name,
            keyword_calls(peers.structlog_logger(factory(), peers.structlog_chain(renderer))),
            peers.structlog_session,
        )
        for name, factory in factories.items()
    ]
    with in_session_and_span():
        times = rounds_of(contenders, calls=100, rounds=scale.rounds * 2, warm_up=20)
    return {13: Measured(ratio(times, ours, theirs), times=times)}


def few_descriptors(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 14: sessions by turns in a process that may open 1024 files, as is usual."""
    with at_most_open(1024):
        contenders = []
        for name, count in (("one session", 1), ("1000 sessions", scale.of(1000))):
            logger = stdlib_logger(f"few-{name}", SessionFileHandler(os.path.join(root, name)))
            contenders.append(by_turns(name, stdlib_calls(logger), count))
        times = rounds_of(contenders, calls=20 * scale.of(1000), rounds=max(2, scale.rounds // 20))
    return {14: Measured(ratio(times, "1000 sessions", "one session"), times=times)}


def open_spans(root: str, scale: Scale) -> dict[int, Measured]:
    """Rows 15 and 16: what short spans cost where open ones are written, and what open ones cost."""
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415

    from tracectrl.exporter import FileSpanExporter  # noqa: PLC0415
    from tracectrl.processor import SessionSpanProcessor  # noqa: PLC0415

    def started(name: str, **options: Any) -> Callable[[str], trace.Span]:
        exporter = FileSpanExporter(os.path.join(root, name), **options)
        own = TracerProvider(shutdown_on_exit=False, resource=provider.resource)
        own.add_span_processor(SessionSpanProcessor(exporter))
        own.add_span_processor(SimpleSpanProcessor(exporter))
        return own.get_tracer("benchmarks").start_span

    def short(start: Callable[[str], trace.Span]) -> Callable[[int], None]:
        def run(calls: int) -> None:
            for _ in repeat(None, calls):
                start("chat").end()

        return run

    contenders = [
        Contender("on", short(started("on"))),
        Contender("off", short(started("off", open_spans_after_s=None))),
    ]
    with in_session_and_span():
        times = rounds_of(contenders, calls=50, rounds=scale.rounds * 4, warm_up=20)
        start = started("open")
        threads_before = threading.active_count()
        spans = [start("open") for _ in range(scale.of(10_000))]
        time.sleep(_SETTLED_S * scale.part)  # their lines are written once
        used, began = time.process_time(), time.monotonic()
        time.sleep(_SETTLED_S * scale.part)
        share = (time.process_time() - used) / (time.monotonic() - began)
        count = threading.active_count() - threads_before
        for span in spans:
            span.end()
    beside = {"threads": figure_of([count])}
    return {
        15: Measured(ratio(times, "on", "off"), times=times),
        16: Measured(figure_of([share]), beside),
    }


def session_attributes(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 17: a line of a session that has no attributes, where another one has some, or none has."""
    call = stdlib_calls(
        stdlib_logger("attributes", SessionFileHandler(os.path.join(root, "known")))
    )
    known = list(described)

    @contextlib.contextmanager
    def entered(count: int, **attributes: Any) -> Iterator[None]:
        with session("known", **attributes):
            described[:] = [True] * count
            yield
            described[:] = known

    three = {"user_id": "u-42", "tenant": "acme", "plan": "pro"}
    contenders = [
        Contender("none has any", call, lambda: entered(0)),
        Contender("another has", call, lambda: entered(1)),
        Contender("has three", call, lambda: entered(1, **three)),
    ]
    with in_session_and_span():
        times = rounds_of(contenders, calls=100, rounds=scale.rounds * 2, warm_up=20)
    return {
        17: Measured(
            ratio(times, "another has", "none has any"),
            {"with three": ratio(times, "has three", "none has any")},
            times,
        )
    }


def loguru_sinks(root: str, scale: Scale) -> dict[int, Measured]:
    """Row 18: loguru's records by our sink and patcher, and by its own sink with ``serialize=True``."""
    if not peers.is_installed("loguru"):
        return {}
    from loguru import logger  # noqa: PLC0415

    from tracectrl_logging.loguru import SessionFileSink, session_patcher  # noqa: PLC0415

    logger.remove()
    own, theirs = "loguru into session files", "loguru, serialize=True"
    loggers = {own: copy.deepcopy(logger), theirs: copy.deepcopy(logger)}
    loggers[own].configure(patcher=session_patcher())
    loggers[own].add(SessionFileSink(os.path.join(root, "ours")), format="{message}")
    loggers[theirs].add(os.path.join(root, "theirs.jsonl"), serialize=True, format="{message}")
    contenders = [
        Contender(name, keyword_calls(it, peers.LOGURU_MESSAGE)) for name, it in loggers.items()
    ]
    with in_session_and_span():
        times = rounds_of(contenders, calls=100, rounds=scale.rounds, warm_up=20)
    return {18: Measured(ratio(times, own, theirs), times=times)}


@contextlib.contextmanager
def at_most_open(count: int) -> Iterator[None]:
    """Let this process open no more than *count* files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


MEASURES = (
    calls_into_files,
    stamp_alone,
    spans,
    many_sessions,
    threads,
    disabled,
    memory,
    imports,
    background,
    rendered_by_others,
    few_descriptors,
    open_spans,
    session_attributes,
    loguru_sinks,
)

BARS: dict[int, tuple[str, float]] = {
    1: ("stdlib record to session file: added over `NullHandler`, of what the peer adds", 0.38),
    2: ("the same, whole call", 0.58),
    3: ("structlog event to session file, whole call, of structlog + orjson + `BytesLogger`", 0.95),
    4: ("the stamp alone, of one by hand", 0.35),
    5: ("span export, added over a null exporter, of the official JSON file exporter", 0.22),
    6: ("1,000 sessions record by record, of one session", 1.25),
    7: ("10,000 sessions record by record with 512 open files, of one session", 2.5),
    8: ("8 threads into 8 sessions, of the peer's 8 threads into 8 files", 0.9),
    9: ("a disabled level, of the same call without us", 1.05),
    10: ("memory after 100,000 sessions of 2 lines, MiB over the start", 8.0),
    11: ("`import tracectrl_logging`, of importing what it stands on", 1.1),
    12: ("`background=True`: the caller's share, of the synchronous call", 0.7),
    13: ("structlog's `JSONRenderer` into session files, of the same chain into one file", 1.1),
    14: ("1,000 sessions record by record under `ulimit -n 1024`, of one session", 1.5),
    15: ("a short span where open ones are written, of one where they are not", 1.03),
    16: ("10,000 open spans: the share of a core", 0.02),
    17: (
        "a line of a session without attributes where another has some, of one where none has",
        1.1,
    ),
    18: ("loguru into session files, of its own sink with `serialize=True`", 1.1),
}
