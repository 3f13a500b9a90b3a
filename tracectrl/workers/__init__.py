"""Work handed on: to a thread, a pool, a callback, another process, a queue.

A context variable follows a task; it does not follow a function into another thread, nor a message
to another process.
"""

from tracectrl.workers.carry import carry
from tracectrl.workers.executor import ProcessPoolExecutor, ThreadPoolExecutor
from tracectrl.workers.message import child_environment, pack, unpack

__all__ = [
    "ProcessPoolExecutor",
    "ThreadPoolExecutor",
    "carry",
    "child_environment",
    "pack",
    "unpack",
]
