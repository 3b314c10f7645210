#!/usr/bin/env bash
# venv.sh NAME: makes the Python environment that NAME/requirements.txt pins, where no cached one fits, and prints its
# folder. With the uv of the Makefile where that is there, else with pip. PYTHON names the interpreter (python3).
set -euo pipefail
cd "$(dirname "$0")/$1"

python=${PYTHON:-python3}
key=$({ "$python" --version; cat requirements.txt; } | sha256sum | cut -c1-16)
out=${CHATBOT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chatbot-test}/$key/$1
if [[ ! -e $out/whole ]]; then
  mkdir -p "$(dirname "$out")"
  exec 9>"$out.lock"
  flock 9 # two at once would be in each other's way
  if [[ ! -e $out/whole ]]; then
    uv=$(compgen -G "$(cd ../../.. && pwd)/.tools/uv-*/bin/uv" | tail -1 || true)
    rm -rf "$out"
    if [[ -n $uv ]]; then
      "$uv" venv --quiet --python "$python" "$out"
      "$uv" pip install --quiet --python "$out" --require-hashes --requirements requirements.txt
    else
      "$python" -m venv "$out"
      "$out/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
    fi >&2
    touch "$out/whole"
  fi
fi
echo "$out"
