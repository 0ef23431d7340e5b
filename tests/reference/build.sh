#!/bin/sh
# Writes tests/fixtures anew (or only the cases named as arguments).
# ATHANOR_PYTHON may name a python that has requirements.txt installed; else a virtual environment is made once.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$("$here/python.sh")
cd "$root"
exec "$python" "$here/make_fixtures.py" --out "$root/tests/fixtures" "$@"
