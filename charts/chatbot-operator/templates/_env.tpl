{{/* chatbot-operator.env $: `chatbot-operator --show-settings` explains them */}}
{{- define "chatbot-operator.env" -}}
{{- $d := .Values.downloads -}}
{{- $env := dict
  "CHATBOT_OPERATOR_DOWNLOAD_IMAGE" (include "chatbot-operator.image" .)
  "CHATBOT_OPERATOR_DOWNLOAD_IMAGE_PULL_POLICY" .Values.image.pullPolicy
  "CHATBOT_OPERATOR_DOWNLOAD_RESOURCES" (toJson $d.resources)
  "CHATBOT_OPERATOR_LOG_LEVEL" .Values.log.level
-}}
{{- if .Values.clusterWide }}{{ $_ := set $env "CHATBOT_OPERATOR_WATCH_CLUSTER_WIDE" true -}}
{{- else }}{{ $_ := set $env "CHATBOT_OPERATOR_WATCH_NAMESPACES" (include "chatbot-operator.namespaces" .) }}{{ end -}}
{{- with .Values.global.imagePullSecrets }}{{ $_ := set $env "CHATBOT_OPERATOR_DOWNLOAD_IMAGE_PULL_SECRETS" (toJson .) }}{{ end -}}
{{- with $d.hfEndpoint }}{{ $_ := set $env "CHATBOT_OPERATOR_DOWNLOAD_HF_ENDPOINT" . }}{{ end -}}
{{- with $d.httpsProxy }}{{ $_ := set $env "CHATBOT_OPERATOR_DOWNLOAD_HTTPS_PROXY" . }}{{ end -}}
{{- with $d.caBundleConfigMap }}{{ $_ := set $env "CHATBOT_OPERATOR_DOWNLOAD_CA_BUNDLE_CONFIG_MAP" . }}{{ end -}}
{{- with $d.allowNetworks }}{{ $_ := set $env "CHATBOT_OPERATOR_DOWNLOAD_ALLOW_NETWORKS" (toJson .) }}{{ end -}}
{{- with $d.allowHosts }}{{ $_ := set $env "CHATBOT_OPERATOR_DOWNLOAD_ALLOW_HOSTS" (toJson .) }}{{ end -}}
{{- with $d.priorityClassName }}{{ $_ := set $env "CHATBOT_OPERATOR_DOWNLOAD_PRIORITY_CLASS_NAME" . }}{{ end -}}
{{- range $key, $value := $env }}
- name: {{ $key }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
