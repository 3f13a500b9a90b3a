"""The pytest plugin: each test is a session, and a failed test's report tells its story.

pytest imports this in every run where the package is installed, so it imports next to nothing, and does
nothing without ``--tracectrl`` or the ini option. What is captured is what ``tracectrl-logs run`` captures,
by the same means: no handler is added and no level is set, so what tests see of logging stays as it is.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

_OPTION = "--tracectrl"
_OUTSIDE = "pytest"
_MOST_CHARACTERS = 100_000


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and their ini forms."""
    group = parser.getgroup("tracectrl", "a session for each test")
    group.addoption(
        _OPTION,
        nargs="?",
        const="traces",
        metavar="DIR",
        help="write the log lines and spans of each test to its session's files in DIR"
        " (--tracectrl=DIR; traces without one)",
    )
    group.addoption(
        "--tracectrl-keep",
        choices=("all", "failed"),
        help="which tests' files stay: those of all tests (default), or of failed ones",
    )
    parser.addini("tracectrl", "DIR for --tracectrl, relative to the root directory", default="")
    parser.addini("tracectrl_keep", "as --tracectrl-keep", default="all")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(args: list[str]) -> None:
    """Have ``--tracectrl`` take no other argument for its directory than one behind a ``=``."""
    args[:] = [f"{_OPTION}=traces" if each == _OPTION else each for each in args]


def pytest_configure(config: pytest.Config) -> None:
    """Begin, where that is asked for.

    Raises:
        pytest.UsageError: the directory cannot be made or written to, or an ini option is wrong.
    """
    given, base = config.getoption(_OPTION), config.invocation_params.dir
    if given is None:
        given, base = config.getini("tracectrl"), config.rootpath
    if not given:
        return
    keep = config.getoption("--tracectrl-keep") or config.getini("tracectrl_keep")
    if keep not in ("all", "failed"):
        msg = f"tracectrl_keep must be 'all' or 'failed', got {keep!r}"
        raise pytest.UsageError(msg)
    try:
        plugin = SessionPerTest(os.path.join(base, given), keep_all=keep == "all")
    except OSError as error:
        msg = f"{_OPTION}={given}: {error}"
        raise pytest.UsageError(msg) from error
    config.pluginmanager.register(plugin, "tracectrl-session-per-test")


class SessionPerTest:
    """Runs each test in a session called like it, its node ID.

    Args:
        root: the trace directory.
        keep_all: whether files of tests that pass stay.

    Raises:
        OSError: *root* cannot be made or written to.
    """

    def __init__(self, root: str, *, keep_all: bool) -> None:
        from tracectrl.session import session  # noqa: PLC0415 - where asked for
        from tracectrl_logging.program.capture import Capture  # noqa: PLC0415 - as above

        self._root = root
        self._keep_all = keep_all
        self._ran: set[str] = set()
        self._failed: set[str] = set()
        self._session = session
        self._capture = Capture(_OUTSIDE, root)
        self._capture.install()
        self._earlier = frozenset(os.listdir(root))

    def pytest_report_header(self) -> str:
        """Return where the files are."""
        return f"tracectrl: a session for each test in {self._root}"

    def pytest_unconfigure(self) -> None:
        """Put back what the capture replaced."""
        self._capture.uninstall()

    # Wrappers of the old kind: the new ones are an error in releases of pytest that somebody may have.
    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, None, None]:
        """Run *item*, its fixtures included, in its session."""
        sid = item.nodeid
        if self._earlier or sid in self._ran:
            self._remove(sid)
        self._ran.add(sid)
        self._failed.discard(sid)
        with self._session(sid):
            yield
        if not self._keep_all and sid not in self._failed:
            self._remove(sid)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, None, None]:
        """Enter the session again: an event loop of several tests runs them in the context of the first."""
        test: Any = pyfuncitem.obj
        if not inspect.iscoroutinefunction(test):
            yield
            return

        @functools.wraps(test)
        async def within(*args: Any, **kwargs: Any) -> Any:
            with self._session(pyfuncitem.nodeid):
                return await test(*args, **kwargs)

        pyfuncitem.obj = within
        try:
            yield
        finally:
            pyfuncitem.obj = test

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, None]:
        """Tell the story of a test that failed."""
        outcome = yield
        report: pytest.TestReport = outcome.get_result()
        if report.failed:
            self._failed.add(item.nodeid)
            with contextlib.suppress(Exception):  # a report without it is a report
                story = _story(item.nodeid, self._root)
                if story:
                    report.sections.append((f"tracectrl session {report.when}", story))

    def _remove(self, sid: str) -> None:
        """Remove the files of the session *sid*, of this run or of an earlier one."""
        from tracectrl.files.names import LOG_SUFFIX, SPAN_SUFFIX, stem_of  # noqa: PLC0415 - as above

        stem = stem_of(sid)
        for name in (stem + LOG_SUFFIX, stem + SPAN_SUFFIX):
            if sid in self._ran or name in self._earlier:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self._root, name))


def _story(sid: str, root: str) -> str:
    """Return the lines of the session *sid*, nested where the extra ``cli`` is installed."""
    from tracectrl_logging import reader  # noqa: PLC0415 - where asked for

    lines = list(reader.open_store(root).read(sid))
    try:
        from tracectrl_logging.cli.render.story import text_of  # noqa: PLC0415 - as above
    except ImportError:
        text = "\n".join(line.raw.decode(errors="backslashreplace").rstrip("\n") for line in lines)
    else:
        text = text_of(sid, lines)
    return text if len(text) <= _MOST_CHARACTERS else f"...{text[-_MOST_CHARACTERS:]}"
