{{/* Clocks that follow the two timeouts, in seconds. Written down in docs/operations.md. */}}

{{- define "chatbot.preStopSeconds" -}}15{{- end -}}

{{/* for those who learn still later, inside the last 15 of the grace */}}
{{- define "chatbot.lameDuckSeconds" -}}10{{- end -}}

{{/* while addresses are withdrawn + longest wait + longest generation + 15 */}}
{{- define "chatbot.graceSeconds" -}}
{{ add (include "chatbot.preStopSeconds" . | int) .Values.queue.timeoutSeconds .Values.generation.timeoutSeconds 15 }}
{{- end -}}

{{/* longest wait + longest generation + 30; a gateway's own default cuts every longer wait */}}
{{- define "chatbot.gatewaySeconds" -}}
{{ add .Values.queue.timeoutSeconds .Values.generation.timeoutSeconds 30 }}
{{- end -}}
