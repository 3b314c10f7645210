{{/* chatbot-operator.peers (list $ who): NetworkPolicy peers as JSON */}}
{{- define "chatbot-operator.peers" -}}
{{- $root := index . 0 -}}{{- $who := index . 1 -}}{{- $v := $root.Values -}}{{- $peers := list -}}
{{- if eq $who "services" -}}
{{- $pods := dict "matchExpressions" (list (dict "key" "chatbot.ai/model" "operator" "Exists")) -}}
{{- range include "chatbot-operator.namespaces" $root | fromJsonArray -}}
{{- $peers = append $peers (dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" .)) "podSelector" $pods) -}}
{{- end -}}
{{- if $v.clusterWide }}{{ $peers = list (dict "namespaceSelector" dict "podSelector" $pods) }}{{ end -}}
{{- else if eq $who "internet" -}}
{{- $peers = list (dict "ipBlock" (dict "cidr" "0.0.0.0/0" "except" $v.networkPolicy.internalCidrs)) (dict "ipBlock" (dict "cidr" "2000::/3")) -}}
{{- else if has $who (list "api-server" "allowed") -}}
{{- range ternary $v.networkPolicy.apiServer.cidrs $v.downloads.allowNetworks (eq $who "api-server") -}}
{{- $peers = append $peers (dict "ipBlock" (dict "cidr" .)) -}}
{{- end -}}
{{- else -}}
{{- $peers = index $v.networkPolicy $who -}}
{{- end -}}
{{- $peers | toJson -}}
{{- end -}}

{{/* chatbot-operator.policyPorts (list $ ports) */}}
{{- define "chatbot-operator.policyPorts" -}}
{{- $ports := list -}}
{{- range index . 1 -}}
{{- if eq (toString .) "apiServer" -}}
{{- range (index $ 0).Values.networkPolicy.apiServer.ports }}{{ $ports = append $ports (dict "port" (int .) "protocol" "TCP") }}{{ end -}}
{{- else -}}
{{- $number := splitList "/" (toString .) | first -}}
{{- $ports = append $ports (dict "port" (int $number) "protocol" (ternary "UDP" "TCP" (hasSuffix "/UDP" (toString .)))) -}}
{{- end -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end -}}

{{/* chatbot-operator.policyRules (list $ component): ingress and egress */}}
{{- define "chatbot-operator.policyRules" -}}
{{- $root := index . 0 -}}{{- $component := index . 1 -}}{{- $ingress := list -}}{{- $egress := list -}}
{{- range $row := $root.Files.Get "files/connections.yaml" | fromYamlArray -}}
{{- if or (not $row.when) $root.Values.downloads.allowNetworks -}}
{{- $rule := dict "ports" (include "chatbot-operator.policyPorts" (list $root $row.ports) | fromJsonArray) -}}
{{- if has $component $row.from -}}
{{- range $row.to }}{{ $egress = append $egress (merge (dict "to" (include "chatbot-operator.peers" (list $root .) | fromJsonArray)) $rule) }}{{ end -}}
{{- end -}}
{{- if has $component $row.to -}}
{{- range $row.from }}{{ $ingress = append $ingress (merge (dict "from" (include "chatbot-operator.peers" (list $root .) | fromJsonArray)) $rule) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
policyTypes: [Ingress, Egress]
ingress: {{ toJson $ingress }}
egress: {{ toJson $egress }}
{{- end -}}
