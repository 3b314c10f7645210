{{/* Values that contradict each other stop the render with a sentence that says what to do. */}}

{{/* chatbot.keyed $: not empty where callers need a key or a token */}}
{{- define "chatbot.keyed" -}}
{{- or .Values.auth.existingSecret .Values.auth.pepperSecret .Values.auth.jwt.issuer (first .Values.auth.gateway.peers) | default "" -}}
{{- end -}}

{{- define "chatbot.checks" -}}
{{- $v := .Values -}}
{{- $keyed := include "chatbot.keyed" . -}}
{{- if and (not $keyed) (not $v.auth.allowAnonymous) -}}
{{- fail "auth: nobody is asked for a key. Set auth.pepperSecret or auth.existingSecret to ask for API keys, auth.jwt.issuer for tokens, auth.gateway.peers for a gateway that asks people who they are, or auth.allowAnonymous=true to let everybody in." -}}
{{- end -}}
{{- if and $keyed $v.auth.allowAnonymous -}}
{{- fail "auth: auth.allowAnonymous=true contradicts auth.existingSecret, auth.pepperSecret, auth.jwt.issuer and auth.gateway.peers; choose one." -}}
{{- end -}}
{{- if and $v.auth.jwt.issuer (not (and $v.auth.jwt.audience $v.auth.jwt.jwksConfigMap)) -}}
{{- fail "auth: auth.jwt.issuer needs auth.jwt.audience and auth.jwt.jwksConfigMap." -}}
{{- end -}}
{{- if and $v.auth.gateway.peers $v.gateway.ingress.enabled (not $v.auth.gateway.url) -}}
{{- fail "auth: auth.gateway.peers with an Ingress needs auth.gateway.url, which says who a caller is; without it callers would say so themselves." -}}
{{- end -}}
{{- if and $v.auth.gateway.peers $v.gateway.httpRoute.enabled $v.gateway.httpRoute.stripsUser (not $v.gateway.httpRoute.authFilters) -}}
{{- fail "auth: the HTTPRoute takes auth.gateway.userHeader away, so nobody would have a user. List the filters that ask who a caller is in gateway.httpRoute.authFilters, or set gateway.httpRoute.stripsUser=false where a policy of the gateway overwrites that header in every request." -}}
{{- end -}}
{{- if and $v.auth.adminApi.enabled (not $v.auth.pepperSecret) -}}
{{- fail "auth: auth.adminApi.enabled=true needs auth.pepperSecret, which keys are made with." -}}
{{- end -}}
{{- if and $v.traces.url $v.networkPolicy.enabled (not $v.traces.peers) -}}
{{- fail "traces: the NetworkPolicy keeps the pods from reaching traces.url. List the collector in traces.peers, or set networkPolicy.enabled=false." -}}
{{- end -}}
{{- if and (not $v.mongodb.existingSecret) (not $v.mongodb.trial.enabled) -}}
{{- fail "mongodb: conversations have no store. Set mongodb.existingSecret to a Secret with the key uri, or mongodb.trial.enabled=true for trying out." -}}
{{- end -}}
{{- if and $v.mongodb.existingSecret $v.mongodb.trial.enabled -}}
{{- fail "mongodb: mongodb.existingSecret and mongodb.trial.enabled=true contradict each other; choose one." -}}
{{- end -}}
{{- if and $v.openai.enabled (not $v.openai.model) -}}
{{- fail "openai: openai.enabled=true needs openai.model." -}}
{{- end -}}
{{- if and $v.openai.enabled $v.networkPolicy.enabled (not $v.openai.cidrs) -}}
{{- fail "openai: the NetworkPolicy keeps the pods from reaching it. List its networks in openai.cidrs (0.0.0.0/0 for any), or set networkPolicy.enabled=false." -}}
{{- end -}}
{{- if and $v.search.enabled (not (or $v.search.searxngUrl $v.search.braveSecret $v.search.tavilySecret)) -}}
{{- fail "search: search.enabled=true needs a provider: search.searxngUrl, search.braveSecret or search.tavilySecret." -}}
{{- end -}}
{{- if and (or $v.search.enabled $v.weather.plan $v.news.feeds) $v.networkPolicy.enabled (not $v.search.peers) -}}
{{- fail "search: the NetworkPolicy keeps the pods from reaching it. List the provider (also of weather and news), and the internet where pages are read, in search.peers, or set networkPolicy.enabled=false." -}}
{{- end -}}
{{- if and (eq $v.weather.plan "commercial") (not $v.weather.keySecret) -}}
{{- fail "weather: weather.plan=commercial needs weather.keySecret." -}}
{{- end -}}
{{- if and (eq $v.weather.plan "self_hosted") (not $v.weather.url) -}}
{{- fail "weather: weather.plan=self_hosted needs weather.url." -}}
{{- end -}}
{{- include "chatbot.embeddingChecks" . -}}
{{- if and $v.embedding.url (not $v.embedding.model) -}}
{{- fail "embedding: embedding.url needs embedding.model." -}}
{{- end -}}
{{- if and $v.embedding.url $v.networkPolicy.enabled (not $v.embedding.peers) -}}
{{- fail "embedding: the NetworkPolicy keeps the pods from reaching embedding.url. List it in embedding.peers, or set networkPolicy.enabled=false." -}}
{{- end -}}
{{- include "chatbot.mcpChecks" . -}}
{{- include "chatbot.keepingChecks" . -}}
{{- if and $v.openai.fallback (not $v.openai.enabled) -}}
{{- fail "openai: openai.fallback=true needs openai.enabled=true." -}}
{{- end -}}
{{- if and $v.openai.fallback (not $v.openai.freeMode) -}}
{{- fail "openai: openai.fallback=true needs openai.freeMode=true: nobody else's key would answer." -}}
{{- end -}}
{{- if and $v.gateway.httpRoute.enabled (not $v.gateway.httpRoute.parentRefs) -}}
{{- fail "gateway: gateway.httpRoute.enabled=true needs gateway.httpRoute.parentRefs, the Gateways to attach to." -}}
{{- end -}}
{{- range $v.monitoring.dashboards.only -}}
{{- if not (has . (list "services" "models" "capacity")) -}}
{{- fail (printf "monitoring: there is no dashboard %q; monitoring.dashboards.only knows services, models and capacity." .) -}}
{{- end -}}
{{- end -}}
{{- range $name := include "chatbot.enabled" . | fromJsonArray -}}
{{- include "chatbot.serviceChecks" (list $ $name (index $v $name)) -}}
{{- end -}}
{{- include "chatbot.sharedClaimCheck" . -}}
{{- end -}}

{{- define "chatbot.serviceChecks" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $s := index . 2 -}}
{{- if $s.autoscaling.enabled -}}
{{- if not $s.autoscaling.prometheusAddress -}}
{{- fail (printf "%s.autoscaling: enabled=true needs %s.autoscaling.prometheusAddress, since it scales on the queue's metrics." $name $name) -}}
{{- end -}}
{{- if gt (int $s.autoscaling.minReplicas) (int $s.autoscaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling: minReplicas is larger than maxReplicas." $name) -}}
{{- end -}}
{{- if not (kindIs "invalid" $s.replicas) -}}
{{- fail (printf "%s: replicas and autoscaling.enabled=true contradict each other; leave replicas out (null)." $name) -}}
{{- end -}}
{{- end -}}
{{- if and (eq (include "chatbot.accessMode" (list $root $s)) "ReadWriteOnce") (not $s.modelVolume.sameNode) -}}
{{- if or (gt (include "chatbot.replicas" $s | int) 1) $s.gpu.spare $s.autoscaling.enabled -}}
{{- fail (printf "%s: a ReadWriteOnce claim cannot be used on two nodes, which replicas > 1, gpu.spare or autoscaling may need. Use storage that is ReadWriteMany (%s.modelVolume.accessMode), or keep the pods on one node with %s.modelVolume.sameNode=true." $name $name $name) -}}
{{- end -}}
{{- end -}}
{{- with get $root.Values.models $s.model -}}
{{- if and $s.modelVolume.accessMode (ne $s.modelVolume.accessMode (dig "storage" "accessMode" "ReadWriteOnce" .)) -}}
{{- fail (printf "%s.modelVolume.accessMode is not what models.%s.storage.accessMode says; leave the first out." $name $s.model) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "chatbot.sharedClaimCheck" -}}
{{- $o := .Values.office -}}{{- $c := .Values.character -}}
{{- if and $o.enabled $c.enabled (eq (include "chatbot.claim" $o) (include "chatbot.claim" $c)) -}}
{{- if and (eq (include "chatbot.accessMode" (list . $o)) "ReadWriteOnce") (not (and $o.modelVolume.sameNode $c.modelVolume.sameNode)) -}}
{{- fail "office and character share one ReadWriteOnce claim: use storage that is ReadWriteMany, set modelVolume.sameNode=true for both, or give each a Model of its own." -}}
{{- end -}}
{{- end -}}
{{- end -}}
