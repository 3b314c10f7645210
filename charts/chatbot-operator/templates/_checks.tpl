{{/* Values that contradict each other stop the render with a sentence that says what to do. */}}
{{- define "chatbot-operator.checks" -}}
{{- if and .Values.clusterWide .Values.watchNamespaces -}}
{{- fail "clusterWide=true and watchNamespaces exclude each other: leave watchNamespaces empty, or set clusterWide=false." -}}
{{- end -}}
{{- if and .Values.downloads.httpsProxy .Values.networkPolicy.enabled (not .Values.downloads.allowNetworks) -}}
{{- fail "downloads: the NetworkPolicy may keep downloads from the proxy. List the proxy's network in downloads.allowNetworks, or set networkPolicy.enabled=false." -}}
{{- end -}}
{{- end -}}
