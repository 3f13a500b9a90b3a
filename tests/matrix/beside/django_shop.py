"""A Django project in one file: a view that works, and requests for it."""

from __future__ import annotations

from typing import Any

import django
import httpx
import shop
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.urls import path


def order(_: Any, number: int) -> HttpResponse:
    """Work."""
    shop.work(number)
    return JsonResponse({})


urlpatterns = [path("<int:number>", order)]


def configure(*, apps: list[str], middleware: list[str], **more: Any) -> None:
    """Make the settings; logging is set up by us."""
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=apps,
        LOGGING_CONFIG=None,
        MIDDLEWARE=middleware,
        ROOT_URLCONF="django_shop",
        SECRET_KEY="-",  # noqa: S106 - of no site
        **more,
    )
    django.setup()


def ask() -> None:
    """Ask for each order by WSGI, in our session where our middleware is there."""
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415 - behind the settings

    here = httpx.WSGITransport(app=shop.middleware(get_wsgi_application(), wsgi=True))
    with httpx.Client(transport=here, base_url="http://shop") as web:
        for number in shop.ORDERS:
            answer = web.get(f"/{number}", headers={**shop.HEADERS, "X-Request-ID": "r" * 32})
            shop.emit({"status": answer.status_code, "headers": dict(answer.headers)})
