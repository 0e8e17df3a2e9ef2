"""What a body does, seen in a forked child: rows, mails, enqueues, sends, files, caches, mocks. Nothing is undone there."""
