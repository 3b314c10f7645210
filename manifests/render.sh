#!/usr/bin/env bash
# render.sh [FOLDER]: writes install.yaml, install-trial.yaml and mongodb-trial.yaml from the charts (default: beside this
# file). HELM names a helm; without it the one that the tests build is taken.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
folder=${1:-$here}
helm=${HELM:-$("$root/tests/tools/build.sh" helm)}
made="# Made by manifests/render.sh from the charts; edit those."

# The hooks of `helm test` are left out.
both() { # PROFILE
  printf '%s\n' "$made" && cat "$here/namespaces.yaml"
  "$helm" template chatbot-operator "$root/charts/chatbot-operator" -n chatbot-system --set 'watchNamespaces={chatbot}'
  "$helm" template chatbot "$root/charts/chatbot" -n chatbot -f "$root/charts/chatbot/ci/$1.yaml" --no-hooks
}

both two-gpus >"$folder/install.yaml"
both cpu-trial >"$folder/install-trial.yaml"
{
  printf '%s\n' "$made"
  "$helm" template chatbot "$root/charts/chatbot" -n chatbot -f "$root/charts/chatbot/ci/cpu-trial.yaml" \
    --show-only templates/mongodb/service.yaml --show-only templates/mongodb/stateful-set.yaml \
    --show-only templates/services/service-account.yaml
} >"$folder/mongodb-trial.yaml"
