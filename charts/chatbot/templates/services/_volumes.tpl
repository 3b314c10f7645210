{{/* chatbot.secretMounts $: folder below /etc/chatbot -> the Secret or ConfigMap in it, as JSON */}}
{{- define "chatbot.secrets" -}}
{{- $found := dict "mongodb" (.Values.mongodb.existingSecret | default (include "chatbot.name" (list . "mongodb"))) -}}
{{- with .Values.auth.existingSecret }}{{ $_ := set $found "auth" . }}{{ end -}}
{{- with .Values.privacy.existingSecret }}{{ $_ := set $found "privacy" . }}{{ end -}}
{{- with .Values.auth.pepperSecret }}{{ $_ := set $found "pepper" . }}{{ end -}}
{{- with .Values.limits.redis.existingSecret }}{{ $_ := set $found "redis" . }}{{ end -}}
{{- with .Values.history.redis.existingSecret }}{{ $_ := set $found "history-redis" . }}{{ end -}}
{{- if and .Values.documents.enabled .Values.documents.qdrant.url }}{{ with .Values.documents.qdrant.existingSecret }}{{ $_ := set $found "qdrant" . }}{{ end }}{{ end -}}
{{- if and .Values.openai.enabled .Values.openai.existingSecret }}{{ $_ := set $found "openai" .Values.openai.existingSecret }}{{ end -}}
{{- if and .Values.embedding.url .Values.embedding.existingSecret }}{{ $_ := set $found "embedding" .Values.embedding.existingSecret }}{{ end -}}
{{- with .Values.search -}}{{- if .enabled -}}
{{- with .braveSecret }}{{ $_ := set $found "brave" . }}{{ end -}}
{{- with .tavilySecret }}{{ $_ := set $found "tavily" . }}{{ end -}}
{{- end -}}{{- end -}}
{{- if .Values.weather.plan }}{{ with .Values.weather.keySecret }}{{ $_ := set $found "weather" . }}{{ end }}{{ end -}}
{{- range .Values.tools.mcp -}}
{{- $name := .name -}}
{{- with .tokenSecret }}{{ $_ := set $found (printf "mcp-%s" $name) . }}{{ end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* chatbot.configMaps (list $ service) */}}
{{- define "chatbot.configMaps" -}}
{{- $found := dict -}}
{{- with (index . 1).promptsConfigMap }}{{ $_ := set $found "prompts" . }}{{ end -}}
{{- with (index . 0).Values.auth.jwt.jwksConfigMap }}{{ $_ := set $found "jwks" . }}{{ end -}}
{{- with (index . 0).Values.usage.pricesConfigMap }}{{ $_ := set $found "prices" . }}{{ end -}}
{{- with (index . 0).Values.caBundleConfigMap }}{{ $_ := set $found "ca" . }}{{ end -}}
{{- $found | toJson -}}
{{- end -}}

{{/* chatbot.mounts (list $ service name) */}}
{{- define "chatbot.mounts" -}}
- {name: models, mountPath: /models, readOnly: true}
- {name: podinfo, mountPath: /etc/podinfo, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- with include "chatbot.embeddingMounts" (index . 0) }}{{ . | nindent 0 }}{{ end }}
{{- range $folder, $_ := include "chatbot.secrets" (index . 0) | fromJson }}
- {name: {{ $folder }}, mountPath: /etc/chatbot/{{ $folder }}, readOnly: true}
{{- end }}
{{- range $folder, $_ := include "chatbot.configMaps" . | fromJson }}
- {name: {{ $folder }}, mountPath: /etc/chatbot/{{ $folder }}, readOnly: true}
{{- end }}
{{- if (index . 0).Values.tenants.configMap }}
- {name: tenants, mountPath: /etc/chatbot/tenants, readOnly: true}
{{- end }}
{{- if and (eq (index . 2) "character") (index . 0).Values.characters.configMap }}
- {name: characters, mountPath: /etc/chatbot/characters, readOnly: true}
{{- end }}
{{- end -}}

{{/* chatbot.volumes (list $ service name) */}}
{{- define "chatbot.volumes" -}}
- name: models
  persistentVolumeClaim:
    claimName: {{ include "chatbot.claim" (index . 1) }}
# model-revision: the pod's own annotation, empty while it is not set; good-revision: written by the operator
- name: podinfo
  projected:
    sources:
      - downwardAPI:
          items:
            - path: model-revision
              fieldRef: {fieldPath: "metadata.annotations['chatbot.ai/model-revision']"}
      - configMap:
          name: model-{{ (index . 1).model }}
          optional: true
          items:
            - {key: good-revision, path: good-revision}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- with include "chatbot.embeddingVolumes" (index . 0) }}{{ . | nindent 0 }}{{ end }}
{{- range $folder, $secret := include "chatbot.secrets" (index . 0) | fromJson }}
- name: {{ $folder }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
{{- range $folder, $configMap := include "chatbot.configMaps" . | fromJson }}
- name: {{ $folder }}
  configMap: {name: {{ $configMap }}}
{{- end }}
{{- with (index . 0).Values.tenants.configMap }}
# policies of tenants, written by the operator; a folder of its own, so that a change reaches a running pod
- name: tenants
  configMap: {name: {{ . }}, optional: true}
{{- end }}
{{- if eq (index . 2) "character" }}{{ with (index . 0).Values.characters.configMap }}
# Characters, written by the operator, in the same way
- name: characters
  configMap: {name: {{ . }}, optional: true}
{{- end }}{{ end }}
{{- end -}}
