#!/bin/sh
# Prints the path of a python that has requirements.txt installed: ATHANOR_PYTHON if set, else that of
# .cache/reference-venv, which is made on first use. Where pip picks the torch that brings CUDA with it, this takes 5 GB;
# the CPU build is enough, and pip's own settings (an extra index, say) may point to it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ -n "${ATHANOR_PYTHON:-}" ]; then
  "$ATHANOR_PYTHON" -c 'import torch, transformers, peft, safetensors, numpy' >&2 || {
    echo "ATHANOR_PYTHON=$ATHANOR_PYTHON lacks the packages of tests/reference/requirements.txt." >&2
    exit 1
  }
  echo "$ATHANOR_PYTHON"
  exit 0
fi
venv=$root/.cache/reference-venv
if ! cmp -s "$here/requirements.txt" "$venv/requirements.installed"; then
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
  cp "$here/requirements.txt" "$venv/requirements.installed"
fi
echo "$venv/bin/python"
