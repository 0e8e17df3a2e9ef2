"""A database engine that answers nothing: what ``DATABASES[...]["ENGINE"]`` says in a child process."""
