#!/usr/bin/env bash
# crds.sh: fetches the CustomResourceDefinitions of crds.txt from the published Go modules of their projects, where none
# are cached, and prints the folder they are in. Nothing is compiled; a module with another sum is refused.
set -euo pipefail
cd "$(dirname "$0")"

key=$(sha256sum crds.txt | cut -c1-16)
out=${CHATBOT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chatbot-test}/$key/crds
if [[ ! -d $out ]]; then
  mkdir -p "$(dirname "$out")"
  exec 9>"$out.lock"
  flock 9
fi
if [[ ! -d $out ]]; then
  rm -rf "$out.new" && mkdir "$out.new"
  while read -r module version sum folder files; do
    told=$(cd / && GOFLAGS=-mod=mod GOWORK=off go mod download -json "$module@$version")
    grep -qF "\"Sum\": \"$sum\"" <<<"$told" || {
      echo "crds.sh: $module $version is not what crds.txt names: $told" >&2
      exit 1
    }
    from=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$told")
    for file in $files; do
      install -m 0644 "$from/$folder/$file" "$out.new/"
    done
  done < <(grep -v '^#' crds.txt)
  mv "$out.new" "$out"
fi
echo "$out"
