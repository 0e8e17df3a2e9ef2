"""What runs for real: everything that differs between two deployments comes from the environment.

SECRET_KEY, ALLOWED_HOSTS       required; empty, Django refuses to start or to answer
POSTGRES_DB, _USER, _PASSWORD, _HOST, _PORT
BROKER_URL                      redis://... or amqp://... (RabbitMQ)
REDIS_URL                       results and the channel layer
EMAIL_HOST, _PORT, _HOST_USER, _HOST_PASSWORD
MEDIA_ROOT                      where the PDFs are kept, shared by all workers
"""

from os import environ

from .base import *  # noqa: F403
from .mail import mail_settings

SECRET_KEY = environ.get("SECRET_KEY", "")
ALLOWED_HOSTS = [host for host in environ.get("ALLOWED_HOSTS", "").split(",") if host]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": environ.get("POSTGRES_DB", "example"),
        "USER": environ.get("POSTGRES_USER", "example"),
        "PASSWORD": environ.get("POSTGRES_PASSWORD", ""),
        "HOST": environ.get("POSTGRES_HOST", "localhost"),
        "PORT": environ.get("POSTGRES_PORT", "5432"),
    }
}
MEDIA_ROOT = environ.get("MEDIA_ROOT", "/srv/example/media")

REDIS_URL = environ.get("REDIS_URL", "redis://localhost:6379")
CELERY_BROKER_URL = environ.get("BROKER_URL", f"{REDIS_URL}/0")
CELERY_RESULT_BACKEND = f"{REDIS_URL}/1"
CHANNEL_LAYERS = {
    "default": {  # noqa: BC609 a hundred messages for a minute, as channels-redis has it, are enough for a page
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # redis-py 8 ends a blocking read after 5 s unless told otherwise, and with it every idle WebSocket
        # (github.com/django/channels_redis/issues/422).
        "CONFIG": {"hosts": [{"address": f"{REDIS_URL}/2", "socket_timeout": None}]},
    }
}

globals().update(
    mail_settings(
        "smtp",
        host=environ.get("EMAIL_HOST", "localhost"),
        port=int(environ.get("EMAIL_PORT", "587")),
        username=environ.get("EMAIL_HOST_USER", ""),
        password=environ.get("EMAIL_HOST_PASSWORD", ""),
        use_tls=True,
        timeout=10,
    )
)

SECURE_SSL_REDIRECT = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
