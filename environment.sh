#!/bin/sh
# Makes .venv hold what the named requirement files ask for: sh environment.sh requirements-embedded.txt ...
#
# Quick when nothing has changed, and safe to run again after an interruption: what was finished is noted last. PYTHON
# names the interpreter to use, else the first of python3, python3.13, python3.12 and python3.11 that fits.
set -eu
cd "$(dirname "$0")"

VENV=.venv
SUPPORTED='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'

fail() {
    echo "$1" >&2
    exit 1
}

works() { # interpreter, code
    "$1" -c "$2" >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        works "$PYTHON" "$SUPPORTED" || fail "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13."
        return
    fi
    for PYTHON in python3 python3.13 python3.12 python3.11 python; do
        if works "$PYTHON" "$SUPPORTED"; then
            return
        fi
    done
    found=$(python3 -V 2>/dev/null || echo "no python3")
    fail "Python 3.11, 3.12 or 3.13 is needed, and here is $found. Install one, or name it: make run PYTHON=/path/to/python3.12"
}

make_venv() {
    find_python
    works "$PYTHON" "import venv, ensurepip" ||
        fail "The venv module of $("$PYTHON" -V) is missing. On Debian and Ubuntu: apt install python3-venv"
    echo "Making $VENV with $("$PYTHON" -V)"
    "$PYTHON" -m venv --clear "$VENV" || fail "$PYTHON -m venv failed; the lines above say why."
}

wanted() { # what a finished installation of these files is noted as
    "$VENV/bin/python" -V
    cat "$@"
}

show_progress() { # of what pip writes, a line for each package and every error
    while IFS= read -r line; do
        case $line in
        Collecting*)
            line=${line#Collecting }
            echo "  ${line%% (from *}"
            ;;
        "Installing collected"*) echo "  ... unpacking" ;;
        *ERROR* | *error:*) echo "$line" ;;
        esac
    done
}

install() { # one requirement file
    noted="$VENV/installed-$1"
    if [ -f "$noted" ] && [ "$(wanted "$1")" = "$(cat "$noted")" ]; then
        return
    fi
    echo "Installing $1 into $VENV (a minute or two the first time)"
    rm -f "$noted" "$VENV/failed"
    {
        PYTHONUNBUFFERED=1 "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input \
            --progress-bar off -r "$1" 2>&1 || touch "$VENV/failed"
    } | show_progress
    if [ -f "$VENV/failed" ]; then
        fail "pip could not install $1; the lines above say why. Is the network there? Running the same again continues."
    fi
    wanted "$1" >"$noted"
}

if ! works "$VENV/bin/python" "import pip; $SUPPORTED"; then
    make_venv
elif [ -n "${PYTHON:-}" ] && [ "$("$PYTHON" -V 2>&1)" != "$("$VENV/bin/python" -V)" ]; then
    make_venv
fi
for file in "$@"; do
    install "$file"
done
