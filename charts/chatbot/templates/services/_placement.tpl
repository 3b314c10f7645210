{{/* chatbot.placement (list $ name service): where the pods of a service may run */}}
{{- define "chatbot.placement" -}}
{{- $root := index . 0 -}}{{- $s := index . 2 -}}
{{- if and $s.gpu.enabled $s.gpu.runtimeClassName }}
runtimeClassName: {{ $s.gpu.runtimeClassName }}
{{- end }}
{{- with $s.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with merge (dict) $s.nodeSelector (ternary $s.gpu.nodeSelector (dict) $s.gpu.enabled) }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat (ternary $s.gpu.tolerations (list) $s.gpu.enabled) $s.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $affinity := deepCopy $s.affinity }}
{{- $together := dict }}
{{- if $s.modelVolume.sameNode }}{{ $_ := set $together "chatbot.ai/model" $s.model }}{{ end }}
{{- if and $root.Values.embedding.modelRef $root.Values.embedding.sameNode }}{{ $_ := set $together "chatbot.ai/embedding-model" $root.Values.embedding.modelRef }}{{ end }}
{{- range $label, $model := $together }}
{{- $beside := dict "labelSelector" (dict "matchLabels" (dict $label $model)) "topologyKey" "kubernetes.io/hostname" }}
{{- $required := dig "podAffinity" "requiredDuringSchedulingIgnoredDuringExecution" list $affinity }}
{{- $pods := set (dig "podAffinity" dict $affinity) "requiredDuringSchedulingIgnoredDuringExecution" (append $required $beside) }}
{{- $_ := set $affinity "podAffinity" $pods }}
{{- end }}
{{- with $affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $s.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{ toYaml . | nindent 4 | trim }}
    labelSelector:
      matchLabels:
        {{- include "chatbot.selector" (list $root (index $ 1)) | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}
