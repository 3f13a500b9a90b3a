"""How things are timed here: contenders by turns, many short rounds, ratios of the same round.

A machine that is busy with something else slows what runs meanwhile, whichever contender that is.
So each round runs all of them, the order changes from round to round, a ratio is taken within a
round, and what is reported is the median of the rounds' ratios with the quartiles beside it. The
clock is the processor time of the calling thread, system calls included: it stands still while
another program has the processor. Where threads take part, it is the one on the wall.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib.metadata
import importlib.util
import os
import platform
import random
import statistics
import sys
import time
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    Times = Mapping[str, list[float]]


@dataclass(frozen=True)
class Contender:
    """One of those that are compared.

    Args:
        name: what the table calls it.
        run: make so many calls.
        entered: what has to be in force meanwhile; entered and left outside the time taken.
    """

    name: str
    run: Callable[[int], object]
    entered: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext


@dataclass(frozen=True)
class Figure:
    """The median of many values, and the quartiles around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def figure_of(values: Iterable[float]) -> Figure:
    """Return the median and the quartiles of *values*."""
    known = sorted(values)
    if len(known) == 1:
        return Figure(known[0], known[0], known[0])
    low, median, high = statistics.quantiles(known, n=4, method="inclusive")
    return Figure(median, low, high)


def rounds_of(
    contenders: Sequence[Contender],
    *,
    calls: int,
    rounds: int,
    warm_up: int = 0,
    clock: Callable[[], float] = time.thread_time,
) -> Times:
    """Return the seconds that a call of each contender took, in each round.

    Before the clock starts so many calls *warm_up* what the contender before has put out of the
    processor's caches: the first ten calls cost several times what the others do.
    """
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    dice = random.Random(1)  # noqa: S311 - the order of the rounds is no secret
    order = [dataclasses.replace(it, run=with_own_code(it.run)) for it in contenders]
    with without_collector():
        for number in range(rounds + 1):
            dice.shuffle(order)
            for contender in order:
                with contender.entered():
                    contender.run(warm_up)
                    begin = clock()
                    contender.run(calls)
                    taken = (clock() - begin) / calls
                if number:  # the first one fills caches and opens files
                    times[contender.name].append(taken)
            gc.collect()
    return times


def with_own_code(run: Any) -> Any:
    """Return *run* with a copy of its code.

    The interpreter specializes code for the types that it meets in it. Contenders that share the
    loop that calls them would spoil that for each other.
    """
    return types.FunctionType(
        run.__code__.replace(), run.__globals__, run.__name__, run.__defaults__, run.__closure__
    )


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Keep the garbage collector out of the times; what exists before is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def ratio(times: Times, one: str, other: str, floor: str | None = None) -> Figure:
    """Return what *one* costs in terms of *other*; where *floor* is given, above that."""
    base = times[floor] if floor is not None else [0.0] * len(times[one])
    return figure_of(
        (mine - least) / (theirs - least)
        for mine, theirs, least in zip(times[one], times[other], base, strict=True)
        if theirs > least
    )


def is_installed(module: str) -> bool:
    """Tell whether *module* can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # nor what it is in
        return False


def machine(distributions: Iterable[str]) -> dict[str, Any]:
    """Return what ran this: the machine, the interpreter and the versions of *distributions*."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "versions": {name: _version(name) for name in distributions},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
