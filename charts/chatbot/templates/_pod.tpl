{{/* What every pod of the chart has in common. */}}

{{/* chatbot.podSecurity (user id): Pod Security Standard `restricted` */}}
{{- define "chatbot.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* chatbot.containerSecurity (read-only root?) */}}
{{- define "chatbot.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: {{ . }}
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "chatbot.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* chatbot.replicas (service values): how many pods the chart has to reckon with, whoever decides it */}}
{{- define "chatbot.replicas" -}}
{{- if .autoscaling.enabled }}{{ .autoscaling.maxReplicas }}{{ else if kindIs "invalid" .replicas }}1{{ else }}{{ .replicas }}{{ end -}}
{{- end -}}

{{/* chatbot.processes: how many pods count limits of the same keys while their store is away */}}
{{- define "chatbot.processes" -}}
{{- $processes := 0 -}}
{{- range list "office" "character" -}}
{{- $service := index $.Values . -}}
{{- if $service.enabled }}{{ $processes = add $processes (include "chatbot.replicas" $service | int) }}{{ end -}}
{{- end -}}
{{- max 1 $processes -}}
{{- end -}}

{{/* chatbot.slots (service values) */}}
{{- define "chatbot.slots" -}}
{{ .engine.slots | default (ternary 8 4 .gpu.enabled) }}
{{- end -}}

{{/* chatbot.accessMode (list $ service): as the Model says where this chart has it */}}
{{- define "chatbot.accessMode" -}}
{{- $service := index . 1 -}}
{{- $model := get (index . 0).Values.models $service.model | default dict -}}
{{- $service.modelVolume.accessMode | default (dig "storage" "accessMode" "ReadWriteOnce" $model) -}}
{{- end -}}
