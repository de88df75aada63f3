#!/bin/sh
# Makes .venv ready: a Python of 3.11 or newer, the system libraries that PDF needs, the locked packages by hash, and
# this project in editable mode. Runs again in a second when nothing changed. Called by make; usable alone.
#
#   PYTHON=python3.13 sh scripts/setup.sh      choose the interpreter
#   USAGE_ETL_NO_INSTALL=1 sh scripts/setup.sh never call a package manager, only say what is missing
set -eu
cd "$(dirname "$0")/.."
venv=.venv

say() { printf '%s\n' "$*"; }
stop() {
    printf '\nset-up stopped: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

find_python() {
    for name in ${PYTHON:-} python3.13 python3.12 python3.11 python3 python; do
        command -v "$name" >/dev/null 2>&1 || continue
        "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || continue
        printf '%s' "$name"
        return
    done
    return 1
}

# Prefix that lets a command run as root: nothing for root, sudo when it asks for no password, else failure.
root_prefix() {
    [ -z "${USAGE_ETL_NO_INSTALL:-}" ] || return 1
    [ "$(id -u)" != 0 ] || return 0
    command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null && printf 'sudo -n'
}

apt_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    prefix=$(root_prefix) || return 1
    say "installing $* with apt-get"
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    $prefix apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 ||
        { $prefix apt-get update -qq >/dev/null && $prefix apt-get install -qq -y --no-install-recommends "$@" >/dev/null; }
}

brew_install() {
    [ -z "${USAGE_ETL_NO_INSTALL:-}" ] && command -v brew >/dev/null 2>&1 || return 1
    say "installing $* with brew"
    brew install --quiet "$@"
}

# Debian splits ensurepip off into a package of its own. A pip that is already here can stand in for it.
can_make_venv() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || "$python" -m pip --version >/dev/null 2>&1 ||
        "$venv/bin/python" -m pip --version >/dev/null 2>&1
}

missing_packages() {
    found=$("$python" scripts/system_libraries.py)
    can_make_venv || found="$found python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    echo $found
}

require_system_packages() {
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    if [ "$(uname -s)" = Darwin ]; then
        brew_install $missing || stop "WeasyPrint needs $missing, which is not installed." "Run:  brew install $missing" "then run this again."
    else
        apt_install $missing || stop "system packages are missing: $missing" \
            "On Debian or Ubuntu run:  sudo apt-get install -y $missing" \
            "Elsewhere install Pango 1.44 or newer, HarfBuzz with its subset library, any font, and Python's venv module." \
            "Then run this again."
    fi
    missing=$(missing_packages)
    [ -z "$missing" ] || stop "still missing after installation: $missing"
}

make_venv() {
    if "$venv/bin/python" -m pip --version >/dev/null 2>&1; then return 0; fi
    rm -rf "$venv"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$venv"
    else
        "$python" -m venv --without-pip "$venv" && "$python" -m pip --python "$venv/bin/python" install --quiet pip
    fi
}

python=$(find_python) || stop "no Python from 3.11 to 3.13 was found." \
    "Install one, or name it:  PYTHON=/path/to/python3.13 make setup"
say "set-up: $("$python" --version 2>&1) -> $venv"
require_system_packages
make_venv || stop "the virtual environment $venv could not be made"
log=$venv/setup.log
run_pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" > "$log" 2>&1 || {
        cat "$log" >&2
        return 1
    }
}
say "installing $(grep -c == requirements.lock) locked packages (about a minute the first time)"
run_pip install --quiet --require-hashes --no-deps --only-binary :all: --no-compile -r requirements.lock ||
    stop "the locked packages could not be installed; pip's message is above." \
        "Intel Macs have no wheel for every locked package: use Linux, Apple silicon or the container image (deploy/)."
run_pip install --quiet --no-deps --no-build-isolation --no-index --editable . || stop "the project itself could not be installed"
run_pip check || stop "the installed packages do not fit together; pip's message is above."
say "set-up is done"
