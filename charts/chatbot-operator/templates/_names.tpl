{{/* Names and labels: each is made here and nowhere else. */}}

{{- define "chatbot-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride }}
{{- else if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "chatbot-operator.selector" -}}
app.kubernetes.io/name: chatbot-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "chatbot-operator.labels" -}}
{{ include "chatbot-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: chatbot
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "chatbot-operator.image" -}}
{{- with .Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* chatbot-operator.namespaces $: the namespaces that are looked after, as JSON; empty: all */}}
{{- define "chatbot-operator.namespaces" -}}
{{- if .Values.clusterWide -}}
[]
{{- else -}}
{{- prepend .Values.watchNamespaces .Release.Namespace | uniq | toJson -}}
{{- end -}}
{{- end -}}

{{/* chatbot-operator.rights $: the rows of files/rbac.yaml that hold for these values, as JSON */}}
{{- define "chatbot-operator.rights" -}}
{{- $found := list -}}
{{- range .Files.Get "files/rbac.yaml" | fromYamlArray -}}
{{- if or (not .when) (and (eq .when "rollout.inPlace.enabled") $.Values.rollout.inPlace.enabled) -}}
{{- $found = append $found (omit . "when") -}}
{{- end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}
