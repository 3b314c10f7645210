{{/* Names and labels: each is made here and nowhere else. */}}

{{- define "chatbot.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* chatbot.name (list $ "office"): name of a component's objects */}}
{{- define "chatbot.name" -}}
{{ include "chatbot.fullname" (index . 0) }}-{{ index . 1 }}
{{- end -}}

{{/* chatbot.selector (list $ "office"): what never changes, since a Deployment's selector cannot */}}
{{- define "chatbot.selector" -}}
app.kubernetes.io/name: chatbot
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "chatbot.labels" -}}
{{ include "chatbot.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
app.kubernetes.io/part-of: chatbot
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* chatbot.image (list $ imageValues defaultTag) */}}
{{- define "chatbot.image" -}}
{{- $image := index . 1 -}}
{{- with (index . 0).Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default (index . 2) }}{{ end -}}
{{- end -}}

{{/* chatbot.claim (service values): the claim that a service mounts */}}
{{- define "chatbot.claim" -}}
{{ .modelClaim | default (printf "model-%s" .model) }}
{{- end -}}

{{/* chatbot.port "office" */}}
{{- define "chatbot.port" -}}
{{ get (dict "office" "8002" "character" "8003" "not-found" "8080" "mongodb" "27017") . }}
{{- end -}}

{{/* chatbot.enabled $: JSON list of the services that are installed */}}
{{- define "chatbot.enabled" -}}
{{- $found := list -}}
{{- range list "office" "character" }}{{ if (index $.Values .).enabled }}{{ $found = append $found . }}{{ end }}{{ end -}}
{{- $found | toJson -}}
{{- end -}}
