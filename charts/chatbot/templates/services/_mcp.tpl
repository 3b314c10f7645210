{{/* Servers of tools: from tools.mcp to the setting CHATBOT_TOOLS_MCP, and to a NetworkPolicy's rule for each. */}}

{{/* chatbot.mcp $: the setting, as JSON */}}
{{- define "chatbot.mcp" -}}
{{- $servers := list -}}
{{- range .Values.tools.mcp -}}
{{- $server := dict "name" .name "url" .url "tools" .tools -}}
{{- with .writes }}{{ $_ := set $server "writes" . }}{{ end -}}
{{- with .confirm }}{{ $_ := set $server "confirm" . }}{{ end -}}
{{- with .inside }}{{ $_ := set $server "inside" . }}{{ end -}}
{{- with .timeoutSeconds }}{{ $_ := set $server "timeout_seconds" . }}{{ end -}}
{{- if .tokenSecret }}{{ $_ := set $server "token_file" (printf "/etc/chatbot/mcp-%s/token" .name) }}{{ end -}}
{{- $servers = append $servers $server -}}
{{- end -}}
{{- $servers | toJson -}}
{{- end -}}

{{/* chatbot.mcpServer (list $ "mcp:name"): one of tools.mcp, as JSON */}}
{{- define "chatbot.mcpServer" -}}
{{- $name := trimPrefix "mcp:" (index . 1) -}}
{{- range (index . 0).Values.tools.mcp }}{{ if eq .name $name }}{{ toJson . }}{{ end }}{{ end -}}
{{- end -}}

{{/* chatbot.mcpPort server: the port of its pods; that of its URL where it names none */}}
{{- define "chatbot.mcpPort" -}}
{{- $url := urlParse .url -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- .port | default $port | int -}}
{{- end -}}

{{/* chatbot.mcpConnections (list $ row): a row for each server, from the services whose model may call tools, as JSON */}}
{{- define "chatbot.mcpConnections" -}}
{{- $v := (index . 0).Values -}}{{- $row := index . 1 -}}{{- $from := list -}}{{- $rows := list -}}
{{- range $row.from }}{{ if index $v.tools . }}{{ $from = append $from . }}{{ end }}{{ end -}}
{{- range $v.tools.mcp -}}
{{- $place := list (printf "mcp:%s" .name) -}}
{{- $rows = append $rows (dict "from" $from "to" $place "ports" $place "why" (printf "tools of %s" .name)) -}}
{{- end -}}
{{- $rows | toJson -}}
{{- end -}}

{{- define "chatbot.mcpChecks" -}}
{{- $names := list -}}
{{- range .Values.tools.mcp -}}
{{- if has .name $names }}{{ fail (printf "tools.mcp: two servers are called %s." .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- if and $.Values.networkPolicy.enabled (not .peers) -}}
{{- fail (printf "tools.mcp: the NetworkPolicy keeps the pods from reaching %s. List its pods or networks in its peers, or set networkPolicy.enabled=false." .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
