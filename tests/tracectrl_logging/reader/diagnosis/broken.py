"""Sessions that break in a known way, with much that has nothing to do with it.

``broken(kind, seed)`` returns the rows of a session and what was injected; all else is drawn from the
seed: how deep the spans are, which services take part, what else is logged, what fails and is handled.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

from tracectrl._json import timestamp_ns
from tracectrl.schema import as_own
from tracectrl_logging.reader.model import Line

if TYPE_CHECKING:
    from collections.abc import Callable

_START_NS = 1_790_000_000_000_000_000
_MS = 1_000_000
NOUNS = [
    "order",
    "invoice",
    "stock",
    "price",
    "user",
    "basket",
    "label",
    "refund",
    "quote",
    "index",
]
VERBS = ["load", "check", "store", "render", "send", "merge", "find", "count", "lock", "sort"]
SERVICES = ["gateway", "shop", "billing", "search", "mailer"]
ERRORS = [
    ("ValueError", "negative quantity {} in line {}"),
    ("KeyError", "'customer-{}'"),
    ("PermissionError", "user {} may not write bucket {}"),
    ("ZeroDivisionError", "division by zero in tariff {}"),
    ("IntegrityError", "duplicate key {} in table ledger"),
    ("DecodeError", "unexpected byte {} at offset {}"),
    ("DiskFullError", "no space left on volume {}"),
    ("LimitError", "quota of {} requests used up"),
]
WRAPPERS = ["request failed", "could not finish", "job aborted", "internal error", "giving up"]


class Injected(NamedTuple):
    """What was injected."""

    message: str
    """A text that is in the failure alone; ``""`` where it has none."""
    span: str
    """The span it is in; ``""`` where it is in none."""


class World:
    """Makes spans and log lines on one clock."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be the same each time
        self.rows: list[tuple[str, dict[str, Any]]] = []
        self.at = 0
        self.skew: dict[str, int] = {}
        self.trace = f"{seed:032x}"
        self._ids = 0
        self._names: set[str] = set()

    def tick(self, most_ms: int = 20) -> int:
        """Let some time pass; return the time."""
        self.at += self.random.randrange(1, most_ms * _MS)
        return self.at

    def name(self) -> str:
        """Return a name that no other span has."""
        while True:
            name = f"{self.random.choice(VERBS)} {self.random.choice(NOUNS)}"
            if self.random.random() < 0.3:
                name += f" {self.random.choice(NOUNS)}"
            if name not in self._names:
                self._names.add(name)
                return name

    def error(self) -> tuple[str, str]:
        """Return the type and message of an exception."""
        kind, form = self.random.choice(ERRORS)
        return kind, form.format(self.random.randrange(10_000), self.random.randrange(100))

    def service(self, other_than: str = "") -> str:
        """Return the name of a service."""
        return self.random.choice([it for it in SERVICES if it != other_than])

    def time(self, service: str, at: int) -> str:
        """Return the time *at* by the clock of a *service*."""
        return timestamp_ns(_START_NS + at + self.skew.get(service, 0))

    def begin(self, name: str, parent: dict[str, Any] | None, service: str = "") -> dict[str, Any]:
        """Begin a span."""
        self._ids += 1
        row: dict[str, Any] = {
            "name": name,
            "kind": "INTERNAL",
            "session_id": "s",
            "trace_id": self.trace if parent is None else parent["trace_id"],
            "span_id": f"{self._ids:016x}",
            "service": service or (parent["service"] if parent else "gateway"),
            "status": "UNSET",
            "status_message": None,
            "attributes": {},
            "events": [],
            "_at": self.tick(),
        }
        if parent is not None:
            row["parent_span_id"] = parent["span_id"]
        return row

    def end(
        self,
        row: dict[str, Any],
        *,
        fails: str | None = None,
        raised: tuple[str, str] | None = None,
        stacktrace: str = "",
        after_ms: int = 0,
    ) -> None:
        """End a span; it *fails* with what it says, or an exception leaves it."""
        self.at += after_ms * _MS
        end = self.tick()
        start = row.pop("_at")
        service = row["service"]
        row["start_time"], row["end_time"] = self.time(service, start), self.time(service, end)
        row["duration_ns"] = end - start
        if raised is not None:
            fails = ": ".join(raised)
            said = {
                "type": raised[0],
                "message": raised[1],
                "stacktrace": stacktrace or _trace(raised),
            }
            event = {f"exception.{key}": value for key, value in said.items()}
            row["events"] = [
                {"name": "exception", "timestamp": row["end_time"], "attributes": event}
            ]
        if fails is not None:
            row["status"], row["status_message"] = "ERROR", fails
        self.rows.append(("span", row))

    def die(self, row: dict[str, Any]) -> None:
        """Never end a span."""
        row["start_time"] = self.time(row["service"], row.pop("_at"))
        self.rows.append(("span", {**row, "state": "open"}))

    def log(
        self,
        level: str,
        message: str,
        span: dict[str, Any] | None = None,
        *,
        service: str = "",
        raised: tuple[str, str] | None = None,
        stacktrace: str = "",
    ) -> None:
        """Log a line."""
        service = service or (span["service"] if span else "gateway")
        row: dict[str, Any] = {"timestamp": self.time(service, self.tick(3)), "level": level}
        row |= {"logger": "app", "message": message, "session_id": "s", "service": service}
        if span is not None:
            row |= {"trace_id": span["trace_id"], "span_id": span["span_id"]}
        if raised is not None:
            kind, text = raised
            trace = stacktrace or _trace(raised)
            row["exception"] = {"type": kind, "message": text, "stacktrace": trace}
        self.rows.append(("log", row))

    def noise(self, span: dict[str, Any] | None, most: int = 3) -> None:
        """Do things that go well, and a few that do not matter."""
        for _ in range(self.random.randrange(most + 1)):
            what = self.random.randrange(10)
            if what < 5 or span is None:
                self.log("INFO", f"{self.name()} done: {self.random.randrange(1000)}", span)
            elif what < 8:
                inner = self.begin(self.name(), span)
                self.log("DEBUG", "working", inner)
                self.end(inner)
            elif what == 8:
                self.log("WARNING", f"cache miss for key {self.random.randrange(1000)}", span)
            else:
                self.handled(span)

    def handled(self, span: dict[str, Any]) -> None:
        """Fail, and go on."""
        inner = self.begin(self.name(), span)
        error = self.error()
        if self.random.random() < 0.5:
            self.log("ERROR", "not reachable, using the default", inner, raised=error)
            self.end(inner)
        else:
            self.end(inner, raised=error)
            self.log("WARNING", "optional part left out", span)
        self.log("INFO", "going on", span)

    def chain(self, depth: int, parent: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Begin spans below each other, with what else happens in them."""
        spans = []
        for _ in range(depth):
            parent = self.begin(self.name(), parent)
            self.noise(parent)
            spans.append(parent)
        return spans

    def unwind(self, spans: list[dict[str, Any]], raised: tuple[str, str]) -> None:
        """Let an exception leave *spans*, and the outermost log it."""
        for span in reversed(spans[1:]):
            self.end(span, raised=raised)
        self.log("ERROR", self.random.choice(WRAPPERS), spans[0], raised=raised)
        self.end(spans[0], raised=raised)

    def lines(self) -> list[Line]:
        """Return the lines as a store reads them."""
        found = []
        for kind, row in self.rows:
            time = row["start_time" if kind == "span" else "timestamp"]
            said = as_own(row) if kind == "log" else row
            found.append(Line(kind, said, b"", time, "", 0, "s"))  # type: ignore[arg-type]
        return sorted(found, key=lambda line: (line.time, line.kind == "log"))


def _trace(raised: tuple[str, str]) -> str:
    return (
        'Traceback (most recent call last):\n  File "app.py", line 7, in run\n    step()\n'
        f"{raised[0]}: {raised[1]}\n"
    )


def deep_crash(world: World) -> Injected:
    """An exception goes through all spans."""
    spans = world.chain(world.random.randrange(3, 8))
    error = world.error()
    world.unwind(spans, error)
    return Injected(error[1], spans[-1]["name"])


def timeout(world: World) -> Injected:
    """A call takes longer than its caller waits."""
    spans = world.chain(3)
    client = world.begin(f"GET /{world.random.choice(NOUNS)}", spans[-1])
    client["kind"] = "CLIENT"
    server = world.begin(world.name(), client, world.service("gateway"))
    slow = world.begin(world.name(), server)
    text = f"no answer within {world.random.randrange(2, 9)} s"
    world.at += 5000 * _MS
    world.end(client, raised=("TimeoutError", text))
    world.unwind(spans, ("TimeoutError", text))
    world.end(slow)
    world.end(server)
    return Injected(text, client["name"])


def retries(world: World) -> Injected:
    """All attempts fail."""
    spans = world.chain(3)
    name = world.name()
    error = world.error()
    for attempt in range(world.random.randrange(2, 5)):
        one = world.begin(name, spans[-1])
        world.end(one, raised=error)
        world.log("WARNING", f"attempt {attempt + 1} failed, trying again", spans[-1])
    world.unwind(spans, ("RuntimeError", "no attempts left"))
    return Injected(error[1], name)


def downstream(world: World) -> Injected:
    """Another service fails, and this one with it."""
    spans = world.chain(world.random.randrange(1, 4))
    client = world.begin("POST /api", spans[-1])
    client["kind"] = "CLIENT"
    server = world.begin(f"POST {world.name()}", client, world.service("gateway"))
    server["kind"] = "SERVER"
    below = world.chain(world.random.randrange(1, 4), server)
    error = world.error()
    world.log("ERROR", "exception in handler", below[-1], raised=error)
    for span in reversed(below):
        world.end(span, raised=error)
    world.end(server, fails="500")
    world.end(client, fails="500 Internal Server Error")
    world.unwind(spans, ("HTTPError", "server answered 500"))
    return Injected(error[1], below[-1]["name"])


def skewed(world: World) -> Injected:
    """The clock of the other service is wrong."""
    for service in SERVICES[1:]:
        world.skew[service] = world.random.choice([-9000, 7000, 30_000]) * _MS
    return downstream(world)


def unlinked(world: World) -> Injected:
    """Another service fails, in a trace of its own."""
    spans = world.chain(2)
    other = world.service("gateway")
    root = world.begin(world.name(), None, other)
    root["trace_id"] = "f" * 32
    error = world.error()
    world.log("ERROR", "handler crashed", root, raised=error)
    world.end(root, raised=error)
    world.unwind(spans, ("BadGateway", f"502 from {other}"))
    return Injected(error[1], root["name"])


def after_handled(world: World) -> Injected:
    """An error is logged and handled, another one is not."""
    spans = world.chain(2)
    world.handled(spans[-1])
    below = world.chain(2, spans[-1])
    error = world.error()
    world.unwind([*spans, *below], error)
    return Injected(error[1], below[-1]["name"])


def silent_death(world: World) -> Injected:
    """The process is gone."""
    spans = world.chain(world.random.randrange(2, 6))
    world.log("INFO", "reading the whole table", spans[-1])
    for span in spans:
        world.die(span)
    return Injected("", spans[-1]["name"])


def death_after_handled(world: World) -> Injected:
    """An error is handled; later the process is gone."""
    spans = world.chain(2)
    world.handled(spans[-1])
    below = world.chain(2, spans[-1])
    for span in [*spans, *below]:
        world.die(span)
    return Injected("", below[-1]["name"])


def death_with_a_word(world: World) -> Injected:
    """The last line of a process that is gone says why."""
    spans = world.chain(3)
    world.log("CRITICAL", "memory of 512 MB used up", spans[-1])
    for span in spans:
        world.die(span)
    return Injected("memory of 512 MB", spans[-1]["name"])


def slow(world: World) -> Injected:
    """Nothing fails; one span takes nearly all of the time."""
    spans = world.chain(world.random.randrange(2, 5))
    world.end(spans[-1], after_ms=world.random.randrange(3000, 20_000))
    for span in reversed(spans[:-1]):
        world.end(span)
    return Injected("", spans[-1]["name"])


def status_only(world: World) -> Injected:
    """Nothing is logged; the status of a span tells."""
    spans = world.chain(4)
    text = f"shard {world.random.randrange(100)} is read-only"
    world.end(spans[-1], fails=text)
    for span in reversed(spans[:-1]):
        world.end(span, fails="")
    return Injected(text, spans[-1]["name"])


def chained(world: World) -> Injected:
    """An exception is raised from another one."""
    spans = world.chain(3)
    error, outer = world.error(), ("ServiceError", "order could not be placed")
    trace = (
        f"{_trace(error)}\nThe above exception was the direct cause of the following exception:\n\n"
        f"{_trace(outer)}"
    )
    world.end(spans[-1], raised=outer, stacktrace=trace)
    world.log("ERROR", "order failed", spans[0], raised=outer, stacktrace=trace)
    for span in reversed(spans[:-1]):
        world.end(span, raised=outer, stacktrace=trace)
    return Injected(error[1], spans[-1]["name"])


def logs_alone(world: World) -> Injected:
    """There are no spans; an error was handled before the one that ended all."""
    for _ in range(world.random.randrange(3, 9)):
        world.log("INFO", f"{world.name()} done")
    world.log("ERROR", "mail not sent, skipping it", raised=world.error())
    for _ in range(world.random.randrange(3, 9)):
        world.log("INFO", f"{world.name()} done")
    error = world.error()
    world.log("ERROR", "import stopped", raised=error)
    world.log("CRITICAL", f"uncaught {error[0]}: {error[1]}", raised=error)
    return Injected(error[1], "")


def after_good_retry(world: World) -> Injected:
    """Something failed and went well when it was tried again; then something else failed."""
    spans = world.chain(2)
    name = world.name()
    world.end(world.begin(name, spans[-1]), raised=world.error())
    world.end(world.begin(name, spans[-1]))
    below = world.chain(2, spans[-1])
    error = world.error()
    world.unwind([*spans, *below], error)
    return Injected(error[1], below[-1]["name"])


def swallowed(world: World) -> Injected:
    """A span in the middle catches the exception and says nothing; the outermost fails."""
    spans = world.chain(4)
    error = world.error()
    world.end(spans[3], raised=error)
    world.end(spans[2])
    world.end(spans[1])
    world.log("ERROR", f"answered 500: {error[1]}", spans[0])
    world.end(spans[0], fails=error[1])
    return Injected(error[1], spans[3]["name"])


def cancelled(world: World) -> Injected:
    """One of several tasks fails, and the others are cancelled."""
    spans = world.chain(2)
    tasks = [world.begin(world.name(), spans[-1]) for _ in range(4)]
    error = world.error()
    world.end(tasks[2], raised=error)
    for at in (0, 1, 3):
        world.end(tasks[at], raised=("CancelledError", "cancelled by the group"))
    world.unwind(spans, ("ExceptionGroup", "unhandled errors in a TaskGroup (1 sub-exception)"))
    return Injected(error[1], tasks[2]["name"])


def logged_at_each_level(world: World) -> Injected:
    """No span has a status; each level logs the failure in its own words."""
    spans = world.chain(3)
    error = world.error()
    texts = ["row could not be read", "page could not be built", "no answer for the user"]
    for span, text in zip(reversed(spans), texts, strict=True):
        world.log("ERROR", text, span, raised=error if text == texts[0] else None)
        world.end(span)
    return Injected(error[1], spans[-1]["name"])


def killed_by_another(world: World) -> Injected:
    """A supervisor tells that a worker was killed; the worker tells nothing."""
    spans = world.chain(3)
    worker = world.begin(world.name(), spans[-1], world.service("gateway"))
    below = world.chain(2, worker)
    for span in [*spans, worker, *below]:
        world.die(span)
    world.log("CRITICAL", "worker 3 exited by signal 9", service="supervisor")
    return Injected("", below[-1]["name"])


def request_again(world: World) -> Injected:
    """A request failed, went well when it was sent again, and another one failed for good."""
    name = world.name()
    one = world.begin(name, None)
    world.end(one, raised=world.error())
    again = world.begin(name, None)
    world.noise(again)
    world.end(again)
    spans = world.chain(3)
    error = world.error()
    world.unwind(spans, error)
    return Injected(error[1], spans[-1]["name"])


def during_handling(world: World) -> Injected:
    """An exception is raised where another one is handled."""
    spans = world.chain(2)
    error, outer = world.error(), ("AttributeError", "'NoneType' object has no attribute 'close'")
    trace = (
        f"{_trace(error)}\nDuring handling of the above exception, another exception occurred:\n\n"
        f"{_trace(outer)}"
    )
    for span in reversed(spans):
        world.end(span, raised=outer, stacktrace=trace)
    return Injected(error[1], spans[-1]["name"])


def three_services(world: World) -> Injected:
    """The failure comes through two services, each with a clock of its own."""
    for service in SERVICES:
        world.skew[service] = world.random.randrange(-20_000, 20_000) * _MS
    spans = world.chain(2)
    for service in ("shop", "billing"):
        client = world.begin(f"POST {service}", spans[-1])
        spans += [client, world.begin(world.name(), client, service)]
        world.noise(spans[-1])
    error = world.error()
    world.end(spans[-1], raised=error)
    for span in reversed(spans[:-1]):
        world.end(span, fails="500" if span["service"] != "gateway" else "bad gateway")
    return Injected(error[1], spans[-1]["name"])


def without_span_ids(world: World) -> Injected:
    """Log lines are in no span, and no span has a status."""
    spans = world.chain(3)
    error = world.error()
    world.log("ERROR", "row refused", service="shop", raised=error)
    world.log("ERROR", f"import stopped: {error[1]}", service="gateway")
    for span in reversed(spans):
        world.end(span)
    return Injected(error[1], "")


def own_failure(world: World) -> Injected:
    """All that was called went well, or was handled; the caller itself fails."""
    spans = world.chain(2)
    for _ in range(3):
        world.noise(spans[-1])
    world.handled(spans[-1])
    error = world.error()
    world.unwind(spans, error)
    return Injected(error[1], spans[-1]["name"])


def warned_alone(world: World) -> Injected:
    """The reason is a warning in a span whose status says nothing."""
    spans = world.chain(3)
    text = f"card {world.random.randrange(1000)} declined by the bank"
    world.log("WARNING", text, spans[-1])
    for span in reversed(spans):
        world.end(span, fails="")
    return Injected(text, spans[-1]["name"])


def hang(world: World) -> Injected:
    """A span waits for ever, beside another one that waits for it."""
    spans = world.chain(2)
    holder = world.begin(world.name(), spans[-1])
    world.noise(holder)
    world.log("WARNING", "still waiting for the lock of table 7", holder)
    for span in [*spans, holder]:
        world.die(span)
    return Injected("", holder["name"])


def two_requests(world: World) -> Injected:
    """A request goes well, the next fails in a service that says so at its end, a third goes well."""
    for _ in range(2):
        root = world.begin(world.name(), None)
        world.noise(root, 5)
        world.end(root)
    spans = world.chain(2)
    client = world.begin("GET price", spans[-1])
    server = world.begin(world.name(), client, world.service("gateway"))
    error = world.error()
    world.log("ERROR", "price not found", server, raised=error)
    world.end(server)
    world.end(client, fails="404")
    world.end(spans[1], fails="no price")
    world.end(spans[0], fails="no price")
    root = world.begin(world.name(), None)
    world.end(root)
    return Injected(error[1], server["name"])


def failed_cleanup(world: World) -> Injected:
    """What failed is followed by a clean-up that fails, too."""
    spans = world.chain(2)
    work = world.begin(world.name(), spans[-1])
    error = world.error()
    world.end(work, raised=error)
    clean = world.begin("clean up", spans[-1])
    world.end(clean, raised=("OSError", "directory not empty"))
    world.unwind(spans, error)
    return Injected(error[1], work["name"])


def killed_in_a_retry(world: World) -> Injected:
    """Attempts fail, and the process is gone within the next."""
    spans = world.chain(2)
    name = world.name()
    for _ in range(2):
        world.end(world.begin(name, spans[-1]), raised=("TimeoutError", "no answer within 3 s"))
    last = world.begin(name, spans[-1])
    for span in [*spans, last]:
        world.die(span)
    return Injected("", name)


def foreign_levels(world: World) -> Injected:
    """Another logger spells its levels and its exceptions in its own way, and knows no spans."""
    error = world.error()
    for _ in range(4):
        world.log("info", f"{world.name()} done")
    world.log("error", "cannot go on")
    world.rows[-1][1]["exception"] = _trace(error)
    world.log("fatal", f"exiting: {error[1]}")
    return Injected(error[1], "")


def rolled_back(world: World) -> Injected:
    """The caller rolls back, says so, and raises an exception of its own from the one it caught."""
    spans = world.chain(3)
    error, outer = world.error(), ("OrderError", "order not placed")
    trace = (
        f"{_trace(error)}\nThe above exception was the direct cause of the following exception:\n\n"
        f"{_trace(outer)}"
    )
    world.end(spans[2], raised=error)
    world.log("INFO", "rolling back", spans[1])
    for span in (spans[1], spans[0]):
        world.end(span, raised=outer, stacktrace=trace)
    return Injected(error[1], spans[2]["name"])


def job_of_another(world: World) -> Injected:
    """A job fails in a trace of its own; who waits for it fails a while later."""
    spans = world.chain(2)
    job = world.begin(world.name(), None, "mailer")
    job["trace_id"] = "e" * 32
    error = world.error()
    world.end(job, raised=error)
    world.at += 800 * _MS
    world.log("INFO", "asking for the job again", spans[-1])
    world.unwind(spans, ("JobError", f"job {world.random.randrange(99)} failed"))
    return Injected(error[1], job["name"])


def logs_of_two(world: World) -> Injected:
    """Two services log without spans; the second one only tells that the first one failed."""
    for service in ("shop", "billing") * 3:
        world.log("INFO", f"{world.name()} done", service=service)
    error = world.error()
    world.log("ERROR", "ledger closed", service="billing", raised=error)
    world.log("INFO", f"{world.name()} done", service="shop")
    world.log("ERROR", "worker reported a failure", service="shop")
    return Injected(error[1], "")


def crash_after_jobs(world: World) -> Injected:
    """A job fails and others go on; at the end something outside of all spans ends the process."""
    for number in range(4):
        root = world.begin(f"job {world.name()}", None)
        world.noise(root)
        if number == 1:
            world.end(root, raised=world.error())
        else:
            world.end(root)
    error = world.error()
    world.log("CRITICAL", "uncaught exception", raised=error)
    return Injected(error[1], "")


def wrapped_at_each_level(world: World) -> Injected:
    """Each level logs, and raises an exception of its own from the one it caught."""
    spans = world.chain(4)
    error = raised = world.error()
    trace = _trace(error)
    for depth, span in enumerate(reversed(spans)):
        if depth:
            raised = (f"Level{depth}Error", f"{span['name']} failed")
            between = "\nThe above exception was the direct cause of the following exception:\n\n"
            trace += between + _trace(raised)
        world.log("ERROR", f"{span['name']} could not go on", span, raised=raised, stacktrace=trace)
        world.end(span, raised=raised, stacktrace=trace)
    return Injected(error[1], spans[-1]["name"])


HELD_OUT: list[Callable[[World], Injected]] = [
    *(killed_by_another, request_again, during_handling, three_services, without_span_ids),
    *(
        own_failure,
        warned_alone,
        hang,
        two_requests,
        failed_cleanup,
        rolled_back,
        job_of_another,
        logs_of_two,
        crash_after_jobs,
        wrapped_at_each_level,
        killed_in_a_retry,
        foreign_levels,
    ),
]
"""Kinds that came when the rules stood."""

KINDS: list[Callable[[World], Injected]] = [
    *(deep_crash, timeout, retries, downstream, skewed, unlinked, after_handled, silent_death),
    *(death_after_handled, death_with_a_word, slow, status_only, chained, logs_alone),
    *(after_good_retry, swallowed, cancelled, logged_at_each_level),
]


def broken(kind: Callable[[World], Injected], seed: int) -> tuple[list[Line], Injected]:
    """Return the lines of a session that breaks so, and what was injected."""
    world = World(seed)
    injected = kind(world)
    return world.lines(), injected
