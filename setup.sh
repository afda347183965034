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

# Whether .venv holds what requirements/$1.lock says.
up_to_date() {
    [ -f "$venv/.oakmill-$1" ] && [ "$(cat "$venv/.oakmill-$1")" = "$(fingerprint "$1")" ]
}

fingerprint() {
    echo "$root $(cat "$root/requirements/bootstrap.lock" "$root/requirements/$1.lock" | cksum)"
}

# set_up LOCK...: .venv holds the packages of the first lock, or of one of the larger ones after it; quick when it does.
set_up() {
    for lock in "$@"; do
        up_to_date "$lock" && return 0
    done
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
    # Of what developers have, most is never run: each module is compiled when it is first imported.
    compile=--compile-bytecode
    [ "$1" = dev ] && compile=--no-compile-bytecode
    "$venv/bin/uv" pip install --quiet "$compile" --python "$venv/bin/python" --require-hashes \
        -r "$root/requirements/$1.lock" || return 1
    packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "$root/src" >"$packages/oakmill.pth"
    "$venv/bin/python" -m compileall -q "$root/src" || return 1
    fingerprint "$1" >"$venv/.oakmill-$1"
    echo "oakmill: ready." >&2
}

# The pages' JavaScript libraries, from npm by lock file, beside our own; quick when they are there. Without npm the
# command line and the vendors' clients work all the same, and the pages too, but they do not move by themselves.
set_up_pages() {
    vendor=$root/src/oakmill/web/static/vendor
    pages=$(cat "$root/package-lock.json" | cksum)
    [ -f "$vendor/.oakmill" ] && [ "$(cat "$vendor/.oakmill")" = "$pages" ] && return 0
    if ! command -v npm >/dev/null 2>&1; then
        echo "oakmill: npm is not installed, so the web pages stay without live updates (Debian: apt-get install npm)." >&2
        return 0
    fi
    echo "oakmill: installing the pages' libraries of package-lock.json ..." >&2
    (cd "$root" && npm ci --silent) || return 1
    mkdir -p "$vendor"
    cp "$root/node_modules/htmx.org/dist/htmx.min.js" "$vendor/"
    cp "$root/node_modules/htmx.org/LICENSE" "$vendor/htmx.LICENSE"
    echo "$pages" >"$vendor/.oakmill"
}
