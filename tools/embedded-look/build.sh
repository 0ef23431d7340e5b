#!/bin/sh
# Makes the embedded look and its example set anew: the environment, the pictures, the autoencoder, the model.
# PYTHON names the interpreter (3.11 or newer); VENV an environment to use; WORK a folder for what lies in between.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${VENV:-$here/.venv}
if [ ! -x "$venv/bin/python" ]; then
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/pip" install -q -r "$here/requirements.txt"
fi
"$venv/bin/python" "$here/example.py" --out "$root/public/examples/look"
work=${WORK:-$(mktemp -d)}
"$venv/bin/python" "$here/pictures.py" --out "$work/data" --count 50000
"$venv/bin/python" "$here/train_vae.py" --data "$work/data" --out "$work"
"$venv/bin/python" "$here/train.py" --data "$work/data" --vae "$work/vae" --out "$work"
mkdir -p "$root/public/embedded"
rm -rf "$root/public/embedded/look"
cp -R "$work/look" "$root/public/embedded/look"
find "$root/public/embedded/look" -type f -exec chmod 644 {} +
if [ -z "${WORK:-}" ]; then rm -rf "$work"; fi
