"""Sessions as a table, or, in a narrow terminal, a few lines each."""

from __future__ import annotations

from datetime import timezone
from typing import TYPE_CHECKING, NamedTuple

from tracectrl_logging.cli.render.columns import GAP, cut, guides, padded, width_of
from tracectrl_logging.cli.render.line_text import count, duration
from tracectrl_logging.cli.render.screen import Screen
from tracectrl_logging.cli.render.time_format import TimeFormat
from tracectrl_logging.cli.text import shown
from tracectrl_logging.reader.timeline.families import placed
from tracectrl_logging.reader.timeline.spill import SpillFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo

    from tracectrl_logging.reader import SessionSummary
    from tracectrl_logging.reader.timeline.families import Rows

_WIDEST_ID = 48
_WIDEST_SERVICES = 30
_MOST_PER_COLUMN = 8
"""How many characters of a message are looked at for one column: accents take none of their own."""
_ERRORS, _STATE, _MODELS = 5, slice(6, 7), slice(7, 11)
_BETWEEN = "\x1f"
_MOST_CHARACTERS = 1024 * 1024
_BLOCK_BYTES = 256 * 1024
_LEAST_MESSAGE = 12
"""A terminal that has less room for the first message gets a block of lines for each session."""


class _Cells(NamedTuple):
    """What the table says of one session."""

    sid: str
    last: str
    took: str
    logs: str
    spans: str
    errors: str
    state: str
    calls: str
    tokens_in: str
    tokens_out: str
    cost: str
    services: str


def print_table(summaries: Rows, tz: tzinfo | None) -> None:
    """Print *summaries*, which may be gone through twice; times are of the zone *tz*, or UTC."""
    screen = Screen()
    times = TimeFormat(tz)
    titles = [
        *("SESSION", f"LAST ({_name(tz)})", "DURATION", "LOGS", "SPANS", "ERRORS"),
        *("STATE", "CALLS", "TOKENS IN", "OUT", "COST", "SERVICES"),
    ]
    widths = [len(title) for title in titles]
    state = calls = ""
    most = None if screen.width is None else _MOST_PER_COLUMN * screen.width
    rows = _Rows()
    for summary, depth in placed(summaries):
        cells = _cells(summary, depth, times)
        widths = list(map(max, widths, map(width_of, cells)))
        state, calls = max(state, cells.state), max(calls, cells.calls)
        rows.append((*cells, shown((summary.first_message or "")[:most])))
    without = [some for some, text in ((_MODELS, calls), (_STATE, state)) if not text]
    for some in without:
        del titles[some], widths[some]
    widths[0] = min(widths[0], _WIDEST_ID)
    if screen.width is not None:
        widths[-1] = min(widths[-1], _WIDEST_SERVICES)
    room = None
    if screen.width is not None:
        room = screen.width - sum(widths) - len(GAP) * len(widths)
        if room < _LEAST_MESSAGE:
            for summary, depth in placed(summaries):
                _print_block(summary, depth, times, screen)
            return
    screen.line([(GAP.join((*_aligned(titles, widths), "FIRST MESSAGE")), "bold")])
    last = len(widths) - 1
    plain = GAP.join(
        f"{{:{'<' if at in {0, 1, last} else '>'}{it}}}" for at, it in enumerate(widths)
    )
    for *texts, message in rows:
        for some in without:
            del texts[some]
        if room is None and not screen.is_styled and all(map(str.isascii, texts)):
            screen.line([(f"{plain.format(*texts)}{GAP}{message}", "")])
            continue
        sid, *others = _aligned(texts, widths)
        screen.line(
            [
                (sid, "cyan"),
                (GAP.join(("", *others[: _ERRORS - 1], "")), ""),
                (others[_ERRORS - 1], "dim" if texts[_ERRORS] == "0" else "red"),
                (GAP.join(("", *others[_ERRORS:])), ""),
                (GAP + (message if room is None else cut(message, room)), "dim"),
            ]
        )


class _Rows:
    """Texts of rows, on disk where they are many."""

    def __init__(self) -> None:
        self._file = SpillFile()
        self._waiting: list[str] = []
        self._size = 0

    def append(self, texts: Sequence[str]) -> None:
        """Add a row of *texts*, which are shown: no newline is in them, and no other control character."""
        text = _BETWEEN.join(texts)
        self._waiting.append(text)
        self._size += len(text)
        if self._size > _MOST_CHARACTERS:
            block = "".join(f"{text}\n" for text in self._waiting)
            self._file.append(block.encode(errors="surrogatepass"))
            self._waiting.clear()
            self._size = 0

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the rows."""
        rest, at = b"", 0
        while block := self._file.read(at, _BLOCK_BYTES):
            at += len(block)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield line.decode(errors="surrogatepass").split(_BETWEEN)
        for text in self._waiting:
            yield text.split(_BETWEEN)


def _print_block(
    summary: SessionSummary, depth: int | None, times: TimeFormat, screen: Screen
) -> None:
    """Print one session on lines of its own."""
    cells = _cells(summary, depth, times)
    first = times.to_the_second(summary.first_time or "")
    until = cells.last[11:] if cells.last[:10] == first[:10] else cells.last
    screen.line([(cells.sid, "cyan"), (GAP + cells.services, "")])
    screen.line(
        [
            (f"{first} - {until}  {cells.took}  " if summary.first_time else "no lines  ", ""),
            (f"{count(summary.logs, 'log')}  {count(summary.spans, 'span')}  ", ""),
            (count(summary.errors, "error"), "red" if summary.errors else "dim"),
            (f"  {cells.state}" if cells.state else "", ""),
        ],
        [(GAP, "")],
    )
    if cells.calls:
        screen.line([(used(summary), "")], [(GAP, "")], [(GAP, "")])
    if summary.first_message and screen.width is not None:
        screen.line([(_message(summary, screen.width - len(GAP)), "dim")], [(GAP, "")])


def _cells(summary: SessionSummary, depth: int | None, times: TimeFormat) -> _Cells:
    return _Cells(
        guides(depth or 0) + shown(summary.session_id),
        times.to_the_second(summary.last_time or ""),
        "-" if summary.duration_ns is None else duration(summary.duration_ns),
        str(summary.logs),
        str(summary.spans),
        str(summary.errors),
        "" if summary.state == "ended" else summary.state,
        *_models(summary),
        ", ".join(map(shown, summary.services)),
    )


def _models(summary: SessionSummary) -> tuple[str, str, str, str]:
    """Return what models have done, empty where they have done nothing."""
    if not summary.model_calls and not summary.input_tokens and not summary.output_tokens:
        return "", "", "", ""
    counts = summary.model_calls, summary.input_tokens, summary.output_tokens
    return *map(str, counts), money(summary.cost_usd)  # type: ignore[return-value]


def used(summary: SessionSummary) -> str:
    """Return what the models of a session have used as a line of text."""
    parts = [
        count(summary.model_calls, "model call"),
        f"{count(summary.input_tokens, 'token')} in"
        + among({"cached": summary.cache_read_tokens, "to cache": summary.cache_creation_tokens}),
        f"{summary.output_tokens} out" + among({"reasoning": summary.reasoning_tokens}),
    ]
    if summary.cost_usd is not None:
        parts.append(money(summary.cost_usd))
    return GAP.join(parts)


def money(dollars: float | None) -> str:
    """Return *dollars* as text, ``-`` for none."""
    if dollars is None:
        return "-"
    return f"${dollars:.2f}" if dollars >= 1 else f"${dollars:.4f}"


def among(numbers: dict[str, int]) -> str:
    """Return the *numbers* that are none of 0 by their names, in parentheses."""
    some = ", ".join(f"{number} {name}" for name, number in numbers.items() if number)
    return f" ({some})" if some else ""


def _aligned(cells: Sequence[str], widths: list[int]) -> list[str]:
    services = len(widths) - 1
    return [
        padded(
            cut(cell, width) if index == services else cell,
            width,
            to_the_right=index not in {0, 1, services},
        )
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]


def _message(summary: SessionSummary, room: int | None) -> str:
    text = summary.first_message or ""
    return shown(text) if room is None else cut(shown(text[: _MOST_PER_COLUMN * room]), room)


def _name(tz: tzinfo | None) -> str:
    """Return what people call the zone *tz*."""
    return "UTC" if tz is None or tz is timezone.utc else str(tz)
