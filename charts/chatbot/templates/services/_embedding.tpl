{{/* A Model of kind Embedding beside the one that chats: its claim, its revision, and where its pods may run. */}}

{{/* chatbot.embeddingSpec $: what this chart says of it, as JSON; {} where somebody else installs it */}}
{{- define "chatbot.embeddingSpec" -}}
{{- get .Values.models .Values.embedding.modelRef | default dict | toJson -}}
{{- end -}}

{{/* chatbot.embeddingClaim $: the claim that it is on */}}
{{- define "chatbot.embeddingClaim" -}}
{{- $own := printf "model-%s" .Values.embedding.modelRef -}}
{{- .Values.embedding.modelClaim | default (dig "storage" "existingClaim" $own (include "chatbot.embeddingSpec" . | fromJson)) -}}
{{- end -}}

{{/* chatbot.embeddingLabel $: for Deployments and their pods */}}
{{- define "chatbot.embeddingLabel" -}}
{{- with .Values.embedding.modelRef -}}
chatbot.ai/embedding-model: {{ . }}
{{- end -}}
{{- end -}}

{{/* chatbot.embeddingEnv $: settings, as JSON */}}
{{- define "chatbot.embeddingEnv" -}}
{{- $env := dict -}}
{{- with .Values.embedding.modelRef -}}
{{- $_ := set $env "CHATBOT_EMBEDDING_DIR" "/embedding-models" -}}
{{- $_ := set $env "CHATBOT_EMBEDDING_NAME" . -}}
{{- end -}}
{{- $env | toJson -}}
{{- end -}}

{{/* chatbot.embeddingMounts $ */}}
{{- define "chatbot.embeddingMounts" -}}
{{- if .Values.embedding.modelRef -}}
- {name: embedding-models, mountPath: /embedding-models, readOnly: true}
- {name: embedding-podinfo, mountPath: /etc/embedding-podinfo, readOnly: true}
{{- end -}}
{{- end -}}

{{/* chatbot.embeddingVolumes $ */}}
{{- define "chatbot.embeddingVolumes" -}}
{{- with .Values.embedding.modelRef -}}
- name: embedding-models
  persistentVolumeClaim:
    claimName: {{ include "chatbot.embeddingClaim" $ }}
- name: embedding-podinfo
  projected:
    sources:
      - downwardAPI:
          items:
            - path: model-revision
              fieldRef: {fieldPath: "metadata.annotations['chatbot.ai/embedding-revision']"}
      - configMap:
          name: model-{{ . }}
          optional: true
          items:
            - {key: good-revision, path: good-revision}
{{- end -}}
{{- end -}}

{{/* chatbot.embeddingChecks $ */}}
{{- define "chatbot.embeddingChecks" -}}
{{- $v := .Values -}}{{- $spec := include "chatbot.embeddingSpec" . | fromJson -}}
{{- if gt (len (compact (list $v.embedding.file $v.embedding.url $v.embedding.modelRef))) 1 -}}
{{- fail "embedding: embedding.modelRef, embedding.file and embedding.url contradict each other; choose one." -}}
{{- end -}}
{{- if and $spec (ne (dig "kind" "Chat" $spec) "Embedding") -}}
{{- fail (printf "embedding: models.%s chats. Set its kind to Embedding, or name another Model in embedding.modelRef." $v.embedding.modelRef) -}}
{{- end -}}
{{- range include "chatbot.enabled" . | fromJsonArray -}}
{{- $model := (index $v .).model -}}
{{- if eq (dig $model "kind" "Chat" $v.models) "Embedding" -}}
{{- fail (printf "%s: models.%s is of kind Embedding, which answers nobody. Name it in embedding.modelRef." . $model) -}}
{{- end -}}
{{- end -}}
{{- if and $v.embedding.modelRef (not $v.embedding.sameNode) (ne (dig "storage" "accessMode" "ReadWriteOnce" $spec) "ReadWriteMany") (ne $v.embedding.accessMode "ReadWriteMany") -}}
{{- $mayMove := gt (include "chatbot.processes" . | int) 1 -}}
{{- range include "chatbot.enabled" . | fromJsonArray }}{{ if (index $v .).gpu.spare }}{{ $mayMove = true }}{{ end }}{{ end -}}
{{- if $mayMove -}}
{{- fail "embedding: a ReadWriteOnce claim cannot be used on two nodes, which several pods may need. Use storage that is ReadWriteMany (embedding.accessMode says so of a Model that this chart does not install), or keep all pods that make vectors on one node with embedding.sameNode=true." -}}
{{- end -}}
{{- end -}}
{{- end -}}
