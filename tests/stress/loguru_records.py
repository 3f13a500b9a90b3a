# ruff: noqa: T201 - a program, which prints
"""100,000 records of loguru from eight threads, at once and by its queue: each there, once, in its session.

    python tests/stress/loguru_records.py [--short]

Beside our sink there is one that raises, and one of loguru's own. The process forks in the middle; the child
and the parent write on.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import os
import sys
import tempfile
import threading

from loguru import logger

from tracectrl.session import session
from tracectrl_logging.loguru import SessionFileSink, session_patcher
from tracectrl_logging.reader import read

THREADS = 8
CHILD = 100


def main() -> int:
    """Run both; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a tenth of the records")
    each = (10_000 if parser.parse_args().short else 100_000) // THREADS
    wrong = [text for enqueue in (False, True) for text in run(each, enqueue=enqueue)]
    for text in wrong:
        print(f"WRONG: {text}")
    print(f"{len(wrong)} things are wrong" if wrong else "each record is there, once")
    return 1 if wrong else 0


def run(each: int, *, enqueue: bool) -> list[str]:
    """Write *each* records by each thread; return what is wrong."""
    with tempfile.TemporaryDirectory(prefix="tracectrl-stress-") as home:
        root, plain = os.path.join(home, "traces"), os.path.join(home, "plain.log")
        logger.remove()
        logger.configure(patcher=session_patcher())
        logger.add(SessionFileSink(root), enqueue=enqueue)
        logger.add(plain, format="{message}", enqueue=enqueue)
        logger.add(fail, catch=True, filter=lambda record: record["message"] == "fail")
        stderr, sys.stderr = sys.stderr, open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - loguru's reports
        threads = [threading.Thread(target=write, args=(number, each)) for number in range(THREADS)]
        try:
            for thread in threads:
                thread.start()
            child = multiprocessing.get_context("fork").Process(target=write, args=("child", CHILD))
            child.start()
            child.join(120)
            for thread in threads:
                thread.join()
            logger.complete()
            logger.remove()
        finally:
            sys.stderr = stderr
        wrong = [f"enqueue={enqueue}: the child ended with {child.exitcode}"] * (
            child.exitcode != 0
        )
        for number in [*range(THREADS), "child"]:
            count = CHILD if number == "child" else each
            found = collections.Counter(line.row["message"] for line in read(f"s{number}", root))
            expected = collections.Counter(str(it) for it in range(count))
            expected["fail"] = 1
            if found != expected:
                wrong.append(
                    f"enqueue={enqueue}: s{number}: {len(expected - found)} lost, {len(found - expected)} too many"
                )
        with open(plain, encoding="utf-8") as file:
            lines = sum(1 for _ in file)
        if lines != THREADS * (each + 1) + CHILD + 1:
            wrong.append(f"enqueue={enqueue}: loguru's own sink has {lines} lines")
        return wrong


def write(number: object, count: int) -> None:
    """Write *count* records into the session of this *number*, one of which a sink does not take."""
    with session(f"s{number}"):
        for it in range(count):
            logger.info("{}", it)
            if it == count // 2:
                logger.info("fail")


def fail(message: object) -> None:
    """Raise, as a sink may."""
    raise RuntimeError(message)


if __name__ == "__main__":
    sys.exit(main())
