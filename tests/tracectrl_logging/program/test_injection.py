"""The way into a program: beside the sitecustomize of others, and where there is no way."""

from __future__ import annotations

import os
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.program.run import environment

if TYPE_CHECKING:
    from tests.tracectrl_logging.conftest import Twins


RUN = [sys.executable, "-m", "tracectrl_logging.cli", "run"]
SID = "session-1"


def test_sitecustomize_of_the_users_own_runs(twins: Twins) -> None:
    """A ``sitecustomize`` that is on the path is imported as without us."""
    twins.write("import sys; sys.customized = __name__", "mine/sitecustomize.py")
    mine = str(twins.directory / "mine")
    source = "import sitecustomize, sys; print(sitecustomize.__file__, sys.customized)"
    done = twins.same(source, PYTHONPATH=mine)
    assert f"{mine}/sitecustomize.py sitecustomize\n" == done.stdout


def test_process_that_cannot_be_captured_runs_on(twins: Twins) -> None:
    """A child whose trace directory has become a file runs, and says that it is not captured."""
    source = """
        import os, pathlib, shutil, subprocess, sys
        root = os.environ["TRACECTRL_TRACE_DIR"]
        shutil.rmtree(root)
        pathlib.Path(root).touch()
        subprocess.run([sys.executable, "-c", "print('ran')"], check=True)
    """
    twins.write(source)
    done = twins.run("program.py")
    assert (0, "ran\n") == (done.returncode, done.stdout)
    assert "nothing is captured: [Errno 20] Not a directory" in done.stderr


def test_interpreter_without_this_package_is_not_disturbed(twins: Twins) -> None:
    """A child that cannot import this package runs as if nothing were there."""
    source = """
        import subprocess, sys
        child = [sys.executable, "-S", "-c", "import sys; print([p for p in sys.path if 'site' in p])"]
        sys.exit(subprocess.run(child).returncode)
    """
    twins.write(source)
    done = twins.run("program.py")
    assert (0, "") == (done.returncode, done.stderr)


def test_subinterpreter_is_not_disturbed(twins: Twins) -> None:
    """A subinterpreter, where nothing can be captured, says nothing of it; the program is captured."""
    source = """
        import logging
        try: import _interpreters as interpreters
        except ImportError: import _xxsubinterpreters as interpreters
        other = interpreters.create()
        interpreters.run_string(other, "import sys; print('ran', file=sys.stderr)")
        interpreters.destroy(other)
        logging.warning("done")
    """
    done = twins.same(source)
    assert "nothing is captured" not in done.stderr
    assert done.stderr.endswith(
        "ran\nWARNING:root:done\n"
    )  # what measures coverage may speak first
    assert [("WARNING", "root", "done")] == twins.messages()


HANDS_ON = {
    "load_module": """
        from importlib.machinery import PathFinder
        spec = PathFinder.find_spec("sitecustomize", path=sys.path)
        if spec is not None: spec.loader.load_module("sitecustomize")
        """,
    "exec_module": """
        import importlib.util
        from importlib.machinery import PathFinder
        spec = PathFinder.find_spec("sitecustomize", path=sys.path)
        if spec is not None: spec.loader.exec_module(importlib.util.module_from_spec(spec))
        """,
    "import": """
        mine = sys.modules.pop("sitecustomize")
        try: import sitecustomize
        except ImportError: sys.modules["sitecustomize"] = mine
        """,
    "nothing": "",
}
BOOTSTRAP = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
here = os.path.dirname(__file__)
sys.path[:] = [path for path in sys.path if path != here]
"""
PROGRAM = """
import logging, os, sys
logging.warning("program")
module = sys.modules.get("sitecustomize")
print(os.path.relpath(module.__file__), os.path.relpath(module.__spec__.origin))
print([path for path in sys.path if "site" in os.path.basename(path)[:4]])
print([name for name in vars(module) if "tracectrl" in name])
"""
LAUNCHER = """
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
os.environ["PYTHONPATH"] = os.pathsep.join(
    [os.path.join(here, "boot"), *filter(None, [os.environ.get("PYTHONPATH")])])
os.execl(sys.executable, sys.executable, *sys.argv[1:])
"""


def bootstrap(twins: Twins, how: str) -> None:
    """Write a tool that brings a sitecustomize, and hands on to the next one or not."""
    twins.write(
        BOOTSTRAP + textwrap.dedent(HANDS_ON[how]) + 'print("the agent runs")\n',
        "boot/sitecustomize.py",
    )
    twins.write(LAUNCHER, "launch.py")
    twins.write(PROGRAM)


@pytest.mark.parametrize("how", HANDS_ON)
@pytest.mark.parametrize("order", ["inside", "outside", "behind"])
def test_bootstraps_of_others_run_and_so_does_ours(twins: Twins, how: str, order: str) -> None:
    """A launcher inside of ``run``, or outside, whether or not it hands on; the program sees its."""
    if sys.version_info >= (3, 15) and how == "load_module":
        pytest.skip("loaders have no load_module() any more")
    bootstrap(twins, how)
    alone = twins.start(sys.executable, "launch.py", "program.py")
    if order == "inside":
        done = twins.run("launch.py", "program.py")
    elif order == "outside":
        run = [*RUN[1:], "--session", SID, "program.py"]
        done = twins.start(sys.executable, "launch.py", *run)
    else:  # by something that is no Python program: ours is behind, and runs where theirs hands on
        env = environment(os.environ, SID, root=twins.root)
        env["PYTHONPATH"] = os.pathsep.join([str(twins.directory / "boot"), env["PYTHONPATH"]])
        done = twins.start(sys.executable, "program.py", **env)
    assert (alone.returncode, alone.stderr) == (done.returncode, done.stderr)
    assert "the agent runs" in alone.stdout
    # The command is a Python program, too: the agent runs in it, and in the program.
    said = done.stdout.replace("the agent runs\n", "", 1) if order == "outside" else done.stdout
    if order != "behind" or how == "import":
        assert alone.stdout == said
    captured = order != "behind" or how != "nothing"
    assert (["program"] if captured else []) == [row["message"] for row in twins.logs()]


def test_sitecustomize_behind_that_of_another_tool(twins: Twins) -> None:
    """Three in a row: each runs once, in the order of the path."""
    bootstrap(twins, "import")
    twins.write('print("the user\'s runs", __file__ == __spec__.origin)', "mine/sitecustomize.py")
    mine = str(twins.directory / "mine")
    command = [sys.executable, "launch.py", "program.py"]
    alone = twins.start(*command, PYTHONPATH=mine)
    env = environment({**os.environ, "PYTHONPATH": mine}, SID, root=twins.root)
    done = twins.start(*command, **env)
    # The launcher itself has the user's alone.
    assert (alone.stdout, alone.stderr) == (done.stdout, done.stderr)
    assert "the user's runs True\nthe agent runs\n" in done.stdout
    assert ["program"] == [row["message"] for row in twins.logs()]


def test_a_sitecustomize_that_fails_says_so(twins: Twins) -> None:
    """As without us: site names the error, and the program runs."""
    twins.write("1 / 0", "mine/sitecustomize.py")
    done = twins.same("print('ran')", PYTHONPATH=str(twins.directory / "mine"))
    assert ("ran\n", True) == (done.stdout, "ZeroDivisionError" in done.stderr)


@pytest.mark.parametrize("call", ["execv", "execve", "execvp", "execl", "execle"])
def test_exec_is_the_programs(twins: Twins, call: str) -> None:
    """Without another sitecustomize in front, the environment goes on as it is; errors are the same."""
    end = {"execle": ", os.environ)", "execve": ", {**os.environ, 'MINE': '1'})"}.get(call, ")")
    listed = "'-c', 'import os; print(os.environ.get(\"MINE\"))'"
    given = (
        f"sys.executable, {listed}" if call.startswith("execl") else f"[sys.executable, {listed}]"
    )
    source = f"""
        import os, sys
        try: os.{call}("/nowhere", {given}{end}
        except OSError as error: print(error, flush=True)
        os.{call}(sys.executable, {given}{end}
    """
    done = twins.same(source)
    assert 0 == done.returncode


def test_doctor_comes_in_the_same_way(twins: Twins) -> None:
    """A program that is observed and captured at once runs once, and both have what they look for."""
    twins.write("import logging; logging.warning('once')")
    done = twins.start(*(*RUN[:-1], "doctor", "--json", "--", *RUN, "--session", SID, "program.py"))
    assert ["once"] == [row["message"] for row in twins.logs()]
    assert "1 records, 1 of them in sessions" in done.stdout
    assert "once\n" in done.stderr
