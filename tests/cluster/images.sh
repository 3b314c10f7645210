#!/usr/bin/env bash
# images.sh DIR: builds the pause and hello programs and packs them as image archives in DIR, for node.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
for name in pause hello; do
  (cd "$here/images/$name" && GO111MODULE=off CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$out/$name.bin" main.go)
  python3 "$here/image.py" "$out/$name.tar" "localhost/$name:1" "/$name" "$out/$name.bin=/$name"
done
