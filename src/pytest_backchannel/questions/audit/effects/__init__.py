"""What a body does, seen in a forked child, where nothing is put back: rows, mails, enqueues, sends, files, mocks."""
