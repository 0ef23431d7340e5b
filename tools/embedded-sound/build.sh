#!/bin/sh
# Makes the embedded sound and its example set anew: the environment, the clips, the codec, the model.
# PYTHON names the interpreter (3.11 or newer); VENV an environment to use; WORK a folder for what lies in between.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${VENV:-$here/.venv}
if [ ! -x "$venv/bin/python" ]; then
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/pip" install -q -r "$here/requirements.txt"
fi
"$venv/bin/python" "$here/example.py" --out "$root/public/examples/sound"
work=${WORK:-$(mktemp -d)}
"$venv/bin/python" "$here/train_codec.py" --out "$work"
"$venv/bin/python" "$here/train.py" --codec "$work/codec" --out "$work"
mkdir -p "$root/public/embedded"
rm -rf "$root/public/embedded/sound"
cp -R "$work/sound" "$root/public/embedded/sound"
find "$root/public/embedded/sound" -type f -exec chmod 644 {} +
if [ -z "${WORK:-}" ]; then rm -rf "$work"; fi
