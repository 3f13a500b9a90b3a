"""Who is answered: the page itself and whoever has the token, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracectrl_logging.viewer.guard import host_of

if TYPE_CHECKING:
    from tests.tracectrl_logging.viewer.conftest import Server

pytestmark = pytest.mark.one_python

ROUTES = [
    "/",
    "/static/page.js",
    "/api/sessions",
    "/api/openapi.json",
    "/api/sessions/a/lines",
    "/api/sessions/a/stream",
    "/api/sessions/a/conversation",
    "/api/sessions/a/export",
    "/api/stream",
    "/api/search?q=m",
    "/page/sessions",
    "/page/session?id=a",
    "/page/line?id=a",
    "/page/search?q=m",
    "/page/query?sql=select+1",
    "/page/known",
    "/page/spark?id=a",
    "/nothing",
]
DATA = [route for route in ROUTES if route.startswith(("/api", "/page", "/nothing"))]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        "127.0.0.1:{port}.",
        "",
    ],
)
def test_forged_host(server_of_module: Server, route: str, host: str) -> None:
    """On every route, a host that is not the server's own is refused, with the mend."""
    answer = server_of_module.get(route, headers={"Host": host.format(port=server_of_module.port)})
    assert (403, True) == (answer.status, "--public-url" in answer.json()["message"])


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_own_hosts(server_of_module: Server, name: str) -> None:
    """The loopback's names at the server's port are its own."""
    port = server_of_module.port
    assert 200 == server_of_module.get("/api/sessions", headers={"Host": f"{name}:{port}"}).status


@pytest.mark.parametrize("route", DATA)
@pytest.mark.parametrize("token", [None, "", "wrong", "the-token-of-these-tests-0123456789abcde"])
def test_token(server_of_module: Server, route: str, token: str | None) -> None:
    """What holds data is for whoever has the token."""
    answer = server_of_module.get(route, token=token)
    assert (401, "Bearer") == (answer.status, answer.headers["www-authenticate"])


@pytest.mark.parametrize("what", ["lines", "stream", "export", "conversation"])
@pytest.mark.parametrize(
    "start", ["/static", "/static/x", "//", "/x", "/static/page.js", "/./", "/api/x"]
)
def test_token_is_asked_for_wherever_data_is(
    server_of_module: Server, start: str, what: str
) -> None:
    """No path in front of the API's leads around the token."""
    answer = server_of_module.get(f"{start}/api/sessions/a/{what}", token=None)
    assert answer.status in (401, 404)
    assert b"m1" not in answer.body
    assert 404 == server_of_module.get(f"{start}/api/sessions/a/{what}").status


def test_token_is_taken_from_the_header_alone(server_of_module: Server) -> None:
    """Neither the address nor a cookie opens anything."""
    token = "the-token-of-these-tests-0123456789abcdef"  # noqa: S105 - of these tests
    for headers in (
        {"Cookie": f"token={token}"},
        {"Authorization": token},
        {"Authorization": f"Basic {token}"},
    ):
        assert 401 == server_of_module.get("/api/sessions", token=None, headers=headers).status
    assert 401 == server_of_module.get("/api/sessions", token=None, access_token=token).status


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_fetched_from_elsewhere(
    server_of_module: Server, route: str, headers: dict[str, str]
) -> None:
    """What another page's script asks for is refused, with the token, too."""
    assert 403 == server_of_module.get(route, headers=headers).status


def test_link_from_elsewhere(server_of_module: Server) -> None:
    """A link opens the page, which holds no data, and nothing else."""
    link = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    assert 200 == server_of_module.get("/", token=None, headers=link).status
    assert 403 == server_of_module.get("/api/sessions", headers=link).status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_methods(server_of_module: Server, method: str) -> None:
    """Nothing is written: GET and HEAD alone are answered."""
    answer = server_of_module.get("/api/sessions", method=method)
    assert (405, "GET, HEAD") == (answer.status, answer.headers["allow"])


@pytest.mark.parametrize(
    "path",
    ["/static/../guard.py", "/static/%2e%2e/guard.py", "/static/..%2fguard.py", "/static/%252e%252e%252fguard.py",
     "/static/..%5cguard.py", "/../etc/passwd", "/static/%2e%2e%2f%2e%2e%2f__init__.py", "/static//etc/passwd", "/static/.css"],
)  # fmt: skip
def test_paths_outside(server_of_module: Server, path: str) -> None:
    """No path leads out of the page's own files."""
    answer = server_of_module.get(path)
    assert answer.status in (400, 404)
    assert b"import" not in answer.body


@pytest.mark.parametrize(
    "route", ["/", "/static/nothing.js", "/api/sessions", "/api/sessions/x/lines", "/nothing"]
)
def test_headers_of_every_answer(server_of_module: Server, route: str) -> None:
    """Each answer says what a browser may do with it."""
    headers = server_of_module.get(route).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    expected = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    assert expected == {key: headers[key] for key in expected}


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://logs.example.com", "logs.example.com"),
        ("https://logs.example.com/", "logs.example.com"),
        ("https://Logs.Example.com:443", "logs.example.com"),
        ("http://x.example:8080", "x.example:8080"),
        ("x.example:80", "x.example:80"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_host_of(address: str, host: str) -> None:
    """An address is what a browser sends as its host."""
    assert host == host_of(address)


@pytest.mark.parametrize(
    "address", ["", "https://", "https://a/path", "https://u@a", "a?b", "a:port"]
)
def test_no_host(address: str) -> None:
    """What names no host, or more than one, is refused."""
    with pytest.raises(ValueError, match=r"host|port|Port"):
        host_of(address)
