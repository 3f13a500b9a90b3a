"""HTTP servers: a session for each request, continued from its headers and answered in one."""

from tracectrl.middleware.asgi import SessionMiddleware
from tracectrl.middleware.wsgi import SessionWSGIMiddleware

__all__ = ["SessionMiddleware", "SessionWSGIMiddleware"]
