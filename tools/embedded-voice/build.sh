#!/bin/sh
# Makes the embedded voice and its example data set anew: the environment, the conversations, the tokenizer, the model.
# Takes half an hour to an hour of a CPU core. PYTHON names the interpreter (3.11 or newer); VENV an environment to use.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${VENV:-$here/.venv}
if [ ! -x "$venv/bin/python" ]; then
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/pip" install -q -r "$here/requirements.txt"
fi
"$venv/bin/python" "$here/persona.py" --out "$root/public/examples/voice/persona.jsonl"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$venv/bin/python" "$here/train.py" --out "$out"
# Two further rounds on conversations not seen before, gentler.
"$venv/bin/python" "$here/train.py" --start "$out" --out "$out/second" --conversations 6500 --seed 21 \
  --steps 560 --warmup 30 --decay 530 --lr 0.0025 --embedding-lr 0.0025
"$venv/bin/python" "$here/train.py" --start "$out/second" --out "$out/third" --conversations 12000 --seed 22 \
  --steps 1000 --warmup 30 --decay 970 --lr 0.0025 --embedding-lr 0.0025
mkdir -p "$root/public/embedded/voice"
for file in config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json; do
  cp "$out/third/$file" "$root/public/embedded/voice/$file"
  chmod 644 "$root/public/embedded/voice/$file"
done
