#!/bin/sh
# Resolve the dependencies anew, for every supported Python at once, with hashes and without index addresses.
set -eu
cd "$(dirname "$0")/.."
compile() {
    uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --fork-strategy requires-python \
        --generate-hashes --no-emit-index-url --no-annotate --no-header "$@"
}
compile --all-extras --group dev --upgrade --output-file requirements/dev.txt
# Other people's libraries, for tests/ecosystem; those that do not allow the newest Celery yet, beside an older one.
for name in ecosystem ecosystem-celery-5.6; do
    compile "requirements/$name.in" --all-extras --group build --upgrade --output-file "requirements/$name.txt"
done
# The lowest versions that are supported: what a matrix run on Python 3.11 installs.
uv pip compile --quiet pyproject.toml --python-version 3.11 --resolution lowest-direct --generate-hashes \
    --no-emit-index-url --no-annotate --no-header --all-extras --group test --upgrade \
    --output-file requirements/lowest.txt
