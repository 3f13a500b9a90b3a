"""The logging set-up, as a dictionary; ``logging.json`` and ``logging.yaml`` say the same."""

CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"session": {"()": "tracectrl_logging.SessionContextFilter"}},
    "handlers": {
        # In the order of their names: what "queue" refers to has to be there first.
        "files": {"class": "tracectrl_logging.SessionFileHandler", "service_name": "orders"},
        "queue": {
            "()": "queued.QueuedHandler",
            "handlers": ["cfg://handlers.files"],
            # On the queue's side of the thread: the listener's thread is in nobody's session.
            "filters": ["session"],
        },
    },
    "root": {"level": "INFO", "handlers": ["queue"]},
}
