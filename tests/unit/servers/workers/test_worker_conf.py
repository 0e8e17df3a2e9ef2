"""What a test may say of one worker's settings."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.servers.workers.worker_conf import check_conf


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        (
            {"task_ack_late": True},
            r"'task_ack_late': True\}\): Celery has no setting of that name; is 'task_acks_late' m",
        ),
        ({"CELERY_TASK_ACKS_LATE": True}, "is 'task_acks_late' meant"),
        ({"TASK_ACKS_LATE": True}, "is 'task_acks_late' meant"),
        ({"result_expires": timedelta(hours=1)}, "not JSON serializable.*give numbers, texts, lists and dicts"),
    ],
)
def test_what_would_have_no_effect_is_refused(conf, message):
    with pytest.raises(BackchannelError, match=message):
        check_conf(conf)


def test_settings_of_celery_and_of_the_project_pass():
    check_conf({"task_acks_late": True, "broker_transport_options": {"visibility_timeout": 3}, "shop_currency": "EUR"})
