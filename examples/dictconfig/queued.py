"""A queue between the application and its handlers, for ``logging.config.dictConfig``."""

import atexit
import logging.handlers
import queue
from collections.abc import Sequence


class QueuedHandler(logging.handlers.QueueHandler):
    """Hands records to other handlers, which run on a thread of their own.

    Python 3.12 and newer can configure this without a class of one's own; this works everywhere.
    """

    def __init__(self, handlers: Sequence[logging.Handler]) -> None:
        """Start the thread; it ends, and has written all, when the program ends."""
        super().__init__(queue.SimpleQueue())
        # Indexing resolves the cfg:// references of dictConfig.
        targets = [handlers[index] for index in range(len(handlers))]
        listener = logging.handlers.QueueListener(self.queue, *targets, respect_handler_level=True)
        listener.start()
        atexit.register(listener.stop)
