{{/* chatbot.peers (list $ who): NetworkPolicy peers as JSON; an empty list is everybody */}}
{{- define "chatbot.peers" -}}
{{- $v := (index . 0).Values -}}{{- $who := index . 1 -}}
{{- $ours := list (dict "podSelector" (dict "matchLabels" (include "chatbot.selector" . | fromYaml))) -}}
{{- if has $who (list "office" "character" "not-found" "test") -}}
{{- $ours | toJson -}}
{{- else if eq $who "mongodb" -}}
{{- ternary $ours $v.networkPolicy.mongodb $v.mongodb.trial.enabled | toJson -}}
{{- else if eq $who "openai" -}}
{{- $blocks := list -}}
{{- range $v.openai.cidrs }}{{ $blocks = append $blocks (dict "ipBlock" (dict "cidr" .)) }}{{ end -}}
{{- $blocks | toJson -}}
{{- else if eq $who "embedding" -}}
{{- $v.embedding.peers | toJson -}}
{{- else if eq $who "collector" -}}
{{- $v.traces.peers | toJson -}}
{{- else if eq $who "redis" -}}
{{- $v.limits.redis.peers | toJson -}}
{{- else if eq $who "history-redis" -}}
{{- $v.history.redis.peers | toJson -}}
{{- else if eq $who "qdrant" -}}
{{- $v.documents.qdrant.peers | toJson -}}
{{- else if eq $who "web" -}}
{{- $v.search.peers | toJson -}}
{{- else if hasPrefix "mcp:" $who -}}
{{- (include "chatbot.mcpServer" (list (index . 0) $who) | fromJson).peers | default list | toJson -}}
{{- else -}}
{{- index $v.networkPolicy $who | toJson -}}
{{- end -}}
{{- end -}}

{{/* chatbot.policyPorts (list $ target ports): the `ports` of a rule as JSON */}}
{{- define "chatbot.policyPorts" -}}
{{- $root := index . 0 -}}{{- $target := index . 1 -}}{{- $ports := list -}}
{{- range index . 2 -}}
{{- $number := splitList "/" (toString .) | first -}}
{{- if eq $number "own" }}{{ $number = include "chatbot.port" $target }}{{ end -}}
{{- if eq $number "openai" }}{{ $number = toString $root.Values.openai.port }}{{ end -}}
{{- if eq $number "embedding" }}{{ $number = toString $root.Values.embedding.port }}{{ end -}}
{{- if eq $number "traces" }}{{ $number = toString $root.Values.traces.port }}{{ end -}}
{{- if eq $number "redis" }}{{ $number = toString $root.Values.limits.redis.port }}{{ end -}}
{{- if eq $number "history-redis" }}{{ $number = toString $root.Values.history.redis.port }}{{ end -}}
{{- if eq $number "qdrant" }}{{ $number = toString $root.Values.documents.qdrant.port }}{{ end -}}
{{- if eq $number "search" }}{{ $number = toString $root.Values.search.port }}{{ end -}}
{{- if hasPrefix "mcp:" $number }}{{ $number = include "chatbot.mcpPort" (include "chatbot.mcpServer" (list $root $number) | fromJson) }}{{ end -}}
{{- $ports = append $ports (dict "port" (int $number) "protocol" (ternary "UDP" "TCP" (hasSuffix "/UDP" (toString .)))) -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end -}}

{{/* chatbot.components $: the components with pods, as JSON */}}
{{- define "chatbot.components" -}}
{{- $found := include "chatbot.enabled" . | fromJsonArray -}}
{{- if .Values.notFound.enabled }}{{ $found = append $found "not-found" }}{{ end -}}
{{- if .Values.mongodb.trial.enabled }}{{ $found = append $found "mongodb" }}{{ end -}}
{{- append $found "test" | toJson -}}
{{- end -}}

{{/* chatbot.connections $: the rows of files/connections.yaml that hold for these values, as JSON */}}
{{- define "chatbot.connections" -}}
{{- $found := list -}}
{{- $conditions := dict "" true "openai.enabled" .Values.openai.enabled "embedding.url" .Values.embedding.url "limits.redis" .Values.limits.redis.existingSecret "history.redis" .Values.history.redis.existingSecret "documents.qdrant" (and .Values.documents.enabled .Values.documents.qdrant.url) "traces.url" .Values.traces.url "networkPolicy.administrators" (and .Values.auth.adminApi.enabled .Values.networkPolicy.administrators) "search, weather, news" (or .Values.search.enabled .Values.weather.plan .Values.news.feeds) "tests.gatewayUrl" .Values.tests.gatewayUrl -}}
{{- range .Files.Get "files/connections.yaml" | fromYamlArray -}}
{{- if get $conditions (.when | default "") }}{{ $found = append $found . }}{{ end -}}
{{- if eq (.when | default "") "tools.mcp" }}{{ $found = concat $found (include "chatbot.mcpConnections" (list $ .) | fromJsonArray) }}{{ end -}}
{{- end -}}
{{- $found | toJson -}}
{{- end -}}
