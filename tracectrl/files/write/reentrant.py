"""A reentrant lock that is not left taken where a signal handler raises.

``with lock`` of CPython 3.14 runs signal handlers between the taking and the body. Where one raises
there, nobody lets go of the lock again (https://github.com/python/cpython/issues/148874). Other
releases have no such gap.
"""

from __future__ import annotations

import sys
from _thread import RLock

if sys.version_info[:2] == (3, 14):

    class ReentrantLock(RLock):
        """Takes itself by an operator and returns at once.

        The interpreter runs signal handlers behind the call of a C function and at the start of a
        Python function, but behind neither an operator nor a return. Letting go is left to the C
        function of the base class.
        """

        def __enter__(self) -> bool:
            """Take the lock."""
            return True in iter(self.acquire, None)

else:
    ReentrantLock = RLock
