"""What keeps a set-up from working: in a program, in its environment, and in the files.

Each check is a small function that yields findings; the tables that list them are the order of the
report. :func:`examine_files` looks at a root; :func:`environment` and :func:`gather` put a program
under observation and collect what was found in it.
"""

from tracectrl_logging.doctor.finding import Finding
from tracectrl_logging.doctor.inside import environment, gather
from tracectrl_logging.doctor.root import examine_files

__all__ = ["Finding", "environment", "examine_files", "gather"]
