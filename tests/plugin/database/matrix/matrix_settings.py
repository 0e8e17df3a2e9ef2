import json
import os

from config.settings import *  # noqa: F403

DATABASES = json.loads(os.environ["MATRIX_DATABASES"])
INSTALLED_APPS = [*INSTALLED_APPS, "depot"]  # noqa: F405
ROOT_URLCONF = "depot.urls"
