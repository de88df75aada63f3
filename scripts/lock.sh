#!/bin/sh
# Writes both locks anew, every package by exact version and hash, for Python 3.11 to 3.13 on Linux and macOS:
#   requirements.lock         what a run, a test or a build needs
#   deploy/requirements.lock  of that, what a run needs: for images and servers
# Needs uv. Arguments go to uv, for example --upgrade or --upgrade-package polars. No index address and no local folder may
# stand in either file.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v uv || true)
[ -n "$uv" ] || { python3 -m uv --version >/dev/null 2>&1 && uv="python3 -m uv"; }
[ -n "$uv" ] || { echo "uv is needed to write the lock: python3 -m pip install uv" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

resolve() {
    target=$1
    shift
    [ ! -f "$target" ] || grep -v '^#' "$target" > "$work/resolved"
    $uv pip compile pyproject.toml --universal --python-version 3.11 --only-binary :all: --generate-hashes --no-config --no-header \
        --no-emit-index-url --no-emit-find-links --no-annotate --quiet --output-file "$work/resolved" "$@"
    if grep -nE '://|^-|file:' "$work/resolved"; then
        echo "the lines above name an address or a folder; $target was left as it was" >&2
        exit 1
    fi
    {
        echo "# Written by \`make lock\` from pyproject.toml; do not edit. Install with: pip install --require-hashes -r $target"
        cat "$work/resolved"
    } > "$work/complete"
    cp "$work/complete" "$target"
    rm "$work/resolved"
}

resolve requirements.lock --group dev "$@"
resolve deploy/requirements.lock --constraint requirements.lock
