{{/* Answers that are kept, a Redis that counts limits or keeps conversations, a Qdrant: their settings and checks. */}}

{{/* chatbot.keepingEnv (list $ name): settings as JSON, numbers as text: its numbers would come back as 1e+06 */}}
{{- define "chatbot.keepingEnv" -}}
{{- $v := (index . 0).Values -}}{{- $env := dict -}}
{{- if and $v.cache.enabled (eq (index . 1) "office") -}}
{{- $env = dict
  "CHATBOT_CACHE_ENABLED" "true"
  "CHATBOT_CACHE_SECONDS" ($v.cache.seconds | int64 | toString)
  "CHATBOT_CACHE_LIMIT_BYTES" ($v.cache.limitBytes | int64 | toString)
  "CHATBOT_CACHE_MAX_ENTRIES" ($v.cache.maxEntries | int64 | toString)
-}}
{{- with $v.cache.tenants }}{{ $_ := set $env "CHATBOT_CACHE_TENANTS" (toJson .) }}{{ end -}}
{{- with $v.cache.sharedTenants }}{{ $_ := set $env "CHATBOT_CACHE_SHARED_TENANTS" (toJson .) }}{{ end -}}
{{- end -}}
{{- if $v.limits.redis.existingSecret }}{{ $_ := set $env "CHATBOT_LIMITS_REDIS_URL_FILE" "/etc/chatbot/redis/url" }}{{ end -}}
{{- if $v.history.redis.existingSecret }}{{ $_ := set $env "CHATBOT_HISTORY_REDIS_URL_FILE" "/etc/chatbot/history-redis/url" }}{{ end -}}
{{- if and $v.documents.enabled $v.documents.qdrant.url -}}
{{- $_ := set $env "CHATBOT_DOCUMENTS_QDRANT_URL" $v.documents.qdrant.url -}}
{{- $_ := set $env "CHATBOT_DOCUMENTS_QDRANT_PREFIX" $v.documents.qdrant.prefix -}}
{{- if $v.documents.qdrant.existingSecret }}{{ $_ := set $env "CHATBOT_DOCUMENTS_QDRANT_API_KEY_FILE" "/etc/chatbot/qdrant/api-key" }}{{ end -}}
{{- end -}}
{{- $env | toJson -}}
{{- end -}}

{{- define "chatbot.keepingChecks" -}}
{{- range $group, $redis := dict "limits" .Values.limits.redis "history" .Values.history.redis -}}
{{- if and $redis.existingSecret $.Values.networkPolicy.enabled (not $redis.peers) -}}
{{- fail (printf "%s: the NetworkPolicy keeps the pods from reaching %s.redis. List its pods or networks in %s.redis.peers, or set networkPolicy.enabled=false." $group $group $group) -}}
{{- end -}}
{{- end -}}
{{- with .Values.documents -}}
{{- if and .enabled .qdrant.url $.Values.networkPolicy.enabled (not .qdrant.peers) -}}
{{- fail "documents: the NetworkPolicy keeps the pods from reaching documents.qdrant. List its pods or networks in documents.qdrant.peers, or set networkPolicy.enabled=false." -}}
{{- end -}}
{{- end -}}
{{- end -}}
