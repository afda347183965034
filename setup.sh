# Makes the project's own environment in .venv; sourced by ./run and ./test, which then call `set_up`.

root=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
venv=$root/.venv

# A Python of 3.11 or newer: $OAKMILL_PYTHON, the PATH, then pyenv's folder.
find_python() {
    for candidate in "${OAKMILL_PYTHON:-}" python3.13 python3.12 python3.11 python3 \
        "$HOME"/.pyenv/versions/3.1[1-3].*/bin/python; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    echo "oakmill needs Python 3.11, 3.12 or 3.13 and found none." >&2
    echo "Install one (Debian: apt-get install python3 python3-venv), or set OAKMILL_PYTHON to its path." >&2
    return 1
}

# set_up LOCK: .venv holds exactly the packages of requirements/LOCK; quick when nothing changed.
set_up() {
    lock=$root/requirements/$1.lock
    stamp=$venv/.oakmill-$1
    want=$(cat "$root/requirements/bootstrap.lock" "$lock" | cksum)
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return 0
    [ "$1" = runtime ] && [ -f "$venv/.oakmill-dev" ] &&
        [ "$(cat "$venv/.oakmill-dev")" = "$(cat "$root/requirements/bootstrap.lock" "$root/requirements/dev.lock" | cksum)" ] && return 0
    if [ ! -x "$venv/bin/python" ]; then
        python=$(find_python) || return 1
        echo "oakmill: making the environment .venv with $("$python" --version) ..." >&2
        "$python" -m venv "$venv" || {
            echo "oakmill: could not make .venv (on Debian: apt-get install python3-venv)." >&2
            return 1
        }
    fi
    echo "oakmill: installing the pinned packages of requirements/$1.lock ..." >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r "$root/requirements/bootstrap.lock" || return 1
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes -r "$lock" || return 1
    packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "$root/src" >"$packages/oakmill.pth"
    "$venv/bin/python" -m compileall -q "$packages" "$root/src" >/dev/null 2>&1 || true
    echo "$want" >"$stamp"
    echo "oakmill: ready." >&2
}
