{{/* What was asked for and could not be rendered, since its CRD is not in the cluster. */}}
{{- define "chatbot.leftOut" -}}
{{- $has := .Capabilities.APIVersions -}}
{{- if and .Values.gateway.httpRoute.enabled (not ($has.Has "gateway.networking.k8s.io/v1/HTTPRoute")) }}
LEFT OUT: the HTTPRoute; this cluster has no Gateway API (gateway.networking.k8s.io/v1). Install its CRDs and upgrade.
{{- end }}
{{- if and .Values.monitoring.serviceMonitors.enabled (not ($has.Has "monitoring.coreos.com/v1/ServiceMonitor")) }}
LEFT OUT: ServiceMonitors; this cluster has no Prometheus Operator (monitoring.coreos.com/v1).
{{- end }}
{{- if and .Values.monitoring.rules.enabled (not ($has.Has "monitoring.coreos.com/v1/PrometheusRule")) }}
LEFT OUT: recording rules and alerts; this cluster has no Prometheus Operator (monitoring.coreos.com/v1).
{{- end }}
{{- range include "chatbot.enabled" . | fromJsonArray }}
{{- if and (index $.Values .).autoscaling.enabled (not ($has.Has "keda.sh/v1alpha1/ScaledObject")) }}
LEFT OUT: autoscaling of {{ . }}; this cluster has no KEDA (keda.sh/v1alpha1). It stays at the pods that it has.
{{- end }}
{{- end }}
{{- end -}}
