#!/usr/bin/env bash
# images.sh [DIR]: image archives for node.sh, each built once per inputs; prints the folder that holds them.
#   pause, hello     small programs of images/
#   chatbot, chatbot-operator, chatbot-loadtest   the product's, from its own Dockerfiles by .ci/images with buildah, on
#                    a Debian made by debootstrap: no registry of images is needed, packages come from theirs
#   mongo            where MONGO_SERVER names the built tests/parts/MongoServer: in the place of the trial MongoDB
#   traefik          where TRAEFIK names the program of tests/tools/traefik: the gateway of gateway.yaml
# The cache is ~/.cache/chatbot-test/images-<hash of the inputs>; buildah's layers beside it make a change of sources
# cost seconds. ONLY='pause hello' leaves the others out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${CHATBOT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/chatbot-test}
mkdir -p "$cache"
exec 9>"$cache/images.lock"
flock 9 # two builds at once would only slow each other

key() { sha256sum | cut -c1-16; }
small() { # small: pause and hello
  local key out name
  key=$({ go version; cat "$here/image.py" "$here"/images/*/main.go; } | key)
  out=$cache/images-$key
  if [[ ! -e $out/done ]]; then
    mkdir -p "$out"
    for name in pause hello; do
      (cd "$here/images/$name" &&
        GO111MODULE=off CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$out/$name" main.go)
      python3 "$here/image.py" "$out/$name.tar" "localhost/$name:1" "/$name" "$out/$name=/$name"
    done
    touch "$out/done"
  fi
  archives+=("$out/pause.tar" "$out/hello.tar")
}

# Everything of buildah's is in the cache: the machine's own storage and configuration stay as they are
store=(buildah --root "$cache/buildah/root" --runroot "$cache/buildah/run")
store+=(--storage-driver "${STORAGE_DRIVER:-overlay}")
base() { # base: the Debian that images are built on and from
  local key scratch
  key=$({ cat "$here/images/debian.Dockerfile"; cat /etc/ssl/certs/ca-certificates.crt; } | key)
  if ! "${store[@]}" inspect --type image "localhost/base:$key" >/dev/null 2>&1; then
    scratch=$(mktemp -d "$cache/base.XXXXXX")
    nice -n 10 debootstrap --variant=minbase --include=ca-certificates,libgomp1,python3,python3-venv \
      bookworm "$scratch/root" http://deb.debian.org/debian
    rm -rf "$scratch/root"/var/cache/apt/archives/*.deb "$scratch/root"/var/lib/apt/lists/*
    cp /etc/ssl/certs/ca-certificates.crt "$scratch/"
    "${store[@]}" build --isolation chroot -t "localhost/base:$key" --target base -f "$here/images/debian.Dockerfile" "$scratch"
    "${store[@]}" build --isolation chroot -t "localhost/build:$key" --target build -f "$here/images/debian.Dockerfile" "$scratch"
    rm -rf "$scratch"
  fi
  base=$key
}
wheels() { # the compiled llama.cpp, where `make` has it already; else the Dockerfile compiles it
  local folder
  folder=$(python3 "$root/.ci/llama_wheel.py" --where)
  if compgen -G "$folder/*.whl" >/dev/null; then
    echo "--volume $folder:/wheels:ro"
  fi
}
product() { # product IMAGE FOLDER SOURCES...
  local image=$1 folder=$2 key out version
  shift 2
  version=$(sed -n '/^\[project\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
  key=$(cd "$root" && { echo "$base"; cat "$folder/Dockerfile" .ci/images; git ls-files -co --exclude-standard -z \
    pyproject.toml uv.lock "$@" | xargs -0 sha256sum; } | key)
  out=$cache/images-$key
  if [[ ! -e $out/$image.tar ]]; then
    mkdir -p "$out"
    TOOL="${store[*]}" IMAGES=$image \
      BUILD_IMAGE=localhost/build:$base BASE_IMAGE=localhost/base:$base \
      BUILD_OPTIONS="--isolation chroot --layers $(wheels)" nice -n 5 "$root/.ci/images"
    "${store[@]}" push "localhost/$image:$version" "docker-archive:$out/$image.new:docker.io/library/$image:$version"
    mv "$out/$image.new" "$out/$image.tar"
    # of each image the newest three stay
    find "$cache"/images-*/"$image.tar" -printf '%T@ %h\n' | sort -rn | sed '1,3d; s/^[^ ]* //' | xargs -r rm -rf
  fi
  archives+=("$out/$image.tar")
}

prune() { # of layers: each build leaves some 30, which nobody else takes away; the next build without them takes a minute
  "${store[@]}" rm --all >/dev/null # containers of builds that were killed
  if (( $("${store[@]}" images -aq | wc -l) > 400 )); then
    "${store[@]}" rmi --prune >/dev/null
  fi
}

mongo() { # mongo: what answers in the place of the chart's trial MongoDB, on a Java cut to what it needs
  local key out scratch tag
  tag=$(sed -n '/^mongodb:/,/^[a-z]/s/^ *tag: *//p' "$root/charts/chatbot/values.yaml" | head -1)
  key=$({ echo "$base $tag"; cat "$here/images/mongo.Dockerfile" "$MONGO_SERVER/Main.java" "$MONGO_SERVER/pom.xml"; } | key)
  out=$cache/images-$key
  if [[ ! -e $out/mongo.tar ]]; then
    scratch=$(mktemp -d "$cache/mongo.XXXXXX")
    mkdir -p "$out"
    cp -r "$MONGO_SERVER"/. "$scratch/server"
    jlink --add-modules java.se,jdk.unsupported --strip-debug --no-header-files --no-man-pages --output "$scratch/java"
    "${store[@]}" build --isolation chroot --build-arg "BASE_IMAGE=localhost/base:$base" -t "localhost/mongo:$tag" \
      -f "$here/images/mongo.Dockerfile" "$scratch"
    "${store[@]}" push "localhost/mongo:$tag" "docker-archive:$out/mongo.new:docker.io/library/mongo:$tag"
    mv "$out/mongo.new" "$out/mongo.tar"
    rm -rf "$scratch"
  fi
  archives+=("$out/mongo.tar")
}

gateway() { # gateway: one program and nothing else
  local key out
  key=$({ cat "$here/image.py"; sha256sum <"$TRAEFIK"; } | key)
  out=$cache/images-$key
  if [[ ! -e $out/traefik.tar ]]; then
    mkdir -p "$out"
    python3 "$here/image.py" "$out/traefik.new" localhost/traefik:1 /traefik "$TRAEFIK=/traefik"
    mv "$out/traefik.new" "$out/traefik.tar"
  fi
  archives+=("$out/traefik.tar")
}

archives=()
{
  small
  if [[ -n ${TRAEFIK:-} ]]; then
    gateway
  fi
  if [[ -z ${ONLY:-} ]]; then
    base
    sources=(README.md services/chatbot operator/chatbot_operator services/demo-model/chatbot-demo.gguf)
    product chatbot services "${sources[@]}"
    product chatbot-operator operator "${sources[@]}"
    product chatbot-loadtest loadtest loadtest/chatbot_loadtest
    if [[ -n ${MONGO_SERVER:-} ]]; then
      mongo
    fi
    prune
  fi
} >&2
out=${1:-$cache/images-now}
mkdir -p "$out"
rm -f "$out"/*.tar
ln -s "${archives[@]}" "$out/"
echo "$out"
