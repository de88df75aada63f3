#!/bin/sh
# Writes requirements.lock anew: every package that a run, a test or a build needs, by exact version and hash, for
# Python 3.11 to 3.13 on Linux and macOS. Needs uv. No index address and no local folder may stand in the file.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v uv || true)
[ -n "$uv" ] || { python3 -m uv --version >/dev/null 2>&1 && uv="python3 -m uv"; }
[ -n "$uv" ] || { echo "uv is needed to write the lock: python3 -m pip install uv" >&2; exit 1; }
{
    echo "# Written by \`make lock\` from pyproject.toml; do not edit. Install with: pip install --require-hashes -r requirements.lock"
    $uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --only-binary :all: --generate-hashes \
        --no-config --no-header --no-emit-index-url --no-emit-find-links --no-annotate --quiet "$@"
} > requirements.lock.new
if grep -nE '://|^-|file:' requirements.lock.new; then
    echo "the lines above name an address or a folder; requirements.lock was left as it was" >&2
    exit 1
fi
mv requirements.lock.new requirements.lock
