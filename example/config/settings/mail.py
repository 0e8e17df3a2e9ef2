"""How mail goes out, in the words of the Django that runs: MAILERS from 6.1 on, EMAIL_* before."""

import django

BEFORE_6_1 = {
    "host": "EMAIL_HOST",
    "port": "EMAIL_PORT",
    "username": "EMAIL_HOST_USER",
    "password": "EMAIL_HOST_PASSWORD",
    "use_tls": "EMAIL_USE_TLS",
    "timeout": "EMAIL_TIMEOUT",
    "file_path": "EMAIL_FILE_PATH",
}


def mail_settings(backend, **options):
    """The settings, by name, for `globals().update()`; Django refuses to have both kinds."""
    backend = f"django.core.mail.backends.{backend}.EmailBackend"
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": options}}}
    return {"EMAIL_BACKEND": backend} | {BEFORE_6_1[name]: value for name, value in options.items()}
