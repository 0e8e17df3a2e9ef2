"""django-celery-results, used as it is: its rows are written in the test's own transaction, as everything else is."""

from __future__ import annotations

from typing import Any

# --- private API: django_celery_results.backends, seen on 2.6.0: two backends of Celery's kind, over the ORM and over
# --- Django's cache. Only how one waits for a result is replaced (backend.Stepped).

_CLASSES = {"django-db": "DatabaseBackend", "django-cache": "CacheBackend"}
KINDS = tuple(_CLASSES)


def django_class(kind: str, stepped: type) -> Any | None:
    """The stepped backend of a kind; None where the tests' settings do not have django-celery-results installed.

    Args:
        kind: ``django-db`` or ``django-cache``.
        stepped: what every stepped backend does instead of sleeping.
    """
    from django.apps import apps

    if not apps.ready or not apps.is_installed("django_celery_results"):
        return None
    from django_celery_results import backends

    base: Any = getattr(backends, _CLASSES[kind])
    parts = (stepped, _InTheTest, base) if kind == "django-db" else (stepped, base)
    return type("Stepped" + base.__name__, parts, {})


class _InTheTest:
    def _store_result(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super()._store_result(*args, **kwargs)  # type: ignore[misc]
        except RuntimeError as error:
            if "Database access not allowed" in str(error):  # pytest-django
                error.add_note(
                    "The worker stores the results of tasks in the database (result_backend django-db), and this test "
                    "has none. Fix: take the fixture db, or set ignore_result on tasks whose result nobody reads."
                )
            raise


# --- end of private API
