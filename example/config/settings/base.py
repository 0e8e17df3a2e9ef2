"""What holds everywhere."""

from pathlib import Path

from celery.schedules import crontab

BASE_DIR = Path(__file__).resolve().parent.parent.parent

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "channels",
    "billing",
    "chat",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "invoice-list"
LOGOUT_REDIRECT_URL = "login"
DEFAULT_FROM_EMAIL = "Example Billing <billing@example.com>"

CELERY_TIMEZONE = TIME_ZONE
# A worker that dies leaves its message to another one: an invoice twice is better than an invoice never, and
# send_invoice_email looks at emailed_at before it sends.
CELERY_TASK_ACKS_LATE = True
# One that kills its process would kill the next one, too: it fails, and beat enqueues its invoice again.
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_TASK_TIME_LIMIT = 60
# A mail server that answers slowly must not hold up everything else.
CELERY_TASK_ROUTES = {"billing.tasks.send_invoice_email": {"queue": "mail"}}
CELERY_BEAT_SCHEDULE = {
    "total the month, nightly": {"task": "billing.tasks.total_month", "schedule": crontab(hour="2", minute="0")},
    "send again what got lost": {"task": "billing.tasks.requeue_stuck_invoices", "schedule": 300.0},
}
