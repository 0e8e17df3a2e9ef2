# Empty: the fixtures celery_eager, db_async, task_queue, websocket and their like come with the plugin.
