{{/* chatbot.env (list $ name service): the settings of a service; docs/settings.md explains them */}}
{{- define "chatbot.env" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}{{- $s := index . 2 -}}{{- $v := $root.Values -}}
{{- $env := dict
  "CHATBOT_HTTP_ROOT_PATH" (printf "/%s" $name)
  "CHATBOT_HTTP_BODY_BYTES" ($v.http.bodyBytes | int64)
  "CHATBOT_HTTP_V1_BODY_BYTES" ($v.http.v1BodyBytes | int64)
  "CHATBOT_HTTP_LAME_DUCK_SECONDS" (include "chatbot.lameDuckSeconds" $root)
  "CHATBOT_QUEUE_TIMEOUT_SECONDS" $v.queue.timeoutSeconds
  "CHATBOT_QUEUE_MAX_WAITING" $v.queue.maxWaiting
  "CHATBOT_GENERATION_TIMEOUT_SECONDS" $v.generation.timeoutSeconds
  "CHATBOT_GENERATION_TEMPERATURE" $v.generation.temperature
  "CHATBOT_GENERATION_TOP_P" $v.generation.topP
  "CHATBOT_GENERATION_REPEAT_PENALTY" $v.generation.repeatPenalty
  "CHATBOT_MODEL_NAME" $s.model
  "CHATBOT_MODEL_CONTEXT_TOKENS" ($s.engine.contextTokens | int64)
  "CHATBOT_MODEL_READY_DURING_SWAP" (and (eq (include "chatbot.replicas" $s) "1") (not $s.autoscaling.enabled))
  "CHATBOT_ENGINE_SLOTS" (include "chatbot.slots" $s)
  "CHATBOT_ENGINE_KV_TOKENS" ($s.engine.kvTokens | int64)
  "CHATBOT_ENGINE_STEP_TOKENS" ($s.engine.stepTokens | int64)
  "CHATBOT_ENGINE_THREADS" $s.engine.threads
  "CHATBOT_ENGINE_LOAD_TIMEOUT_SECONDS" $s.engine.loadTimeoutSeconds
  "CHATBOT_HISTORY_STORE" (empty $v.history.redis.existingSecret | ternary "mongodb" "redis")
  "CHATBOT_HISTORY_WHEN_DOWN" $v.history.whenDown
  "CHATBOT_HISTORY_MAX_TURNS" $v.history.maxTurns
  "CHATBOT_HISTORY_MAX_BYTES" ($v.history.maxBytes | int64)
  "CHATBOT_HISTORY_TTL_SECONDS" ($v.history.ttlSeconds | int64)
  "CHATBOT_MEMORY_SUMMARIES" $v.history.summaries
  "CHATBOT_MONGODB_URI_FILE" "/etc/chatbot/mongodb/uri"
  "CHATBOT_MONGODB_DATABASE" $v.mongodb.database
  "CHATBOT_MONGODB_DRIVER" $v.mongodb.driver
  "CHATBOT_DOCUMENTS_STORE" (ternary (empty $v.documents.qdrant.url | ternary "mongodb" "qdrant") "none" $v.documents.enabled)
  "CHATBOT_DOCUMENTS_FILE_BYTES" ($v.documents.fileBytes | int64)
  "CHATBOT_CHARACTERS_MAX_OWN" $v.characters.maxOwn
  "CHATBOT_CHARACTERS_FILE_BYTES" ($v.characters.fileBytes | int64)
  "CHATBOT_TOOLS_ENABLED" (index $v.tools $name)
  "CHATBOT_TOOLS_TIME_ZONE" $v.tools.timeZone
  "CHATBOT_TOOLS_CONFIRM_SECONDS" $v.tools.confirmSeconds
  "CHATBOT_USAGE_ENABLED" $v.usage.enabled
  "CHATBOT_USAGE_RAW_DAYS" $v.usage.rawDays
  "CHATBOT_USAGE_DAILY_DAYS" $v.usage.dailyDays
  "CHATBOT_LIMITS_REPLICAS" (include "chatbot.processes" $root)
  "CHATBOT_LOG_LEVEL" $v.log.level
-}}
{{- if not $s.gpu.enabled }}{{ $_ := set $env "CHATBOT_ENGINE_GPU_LAYERS" 0 }}{{ end -}}
{{- with $s.engine.chatFormat }}{{ $_ := set $env "CHATBOT_MODEL_CHAT_FORMAT" . }}{{ end -}}
{{- with $v.http.trustedProxies }}{{ $_ := set $env "CHATBOT_HTTP_TRUSTED_PROXIES" (toJson .) }}{{ end -}}
{{- with $v.http.corsOrigins }}{{ $_ := set $env "CHATBOT_HTTP_CORS_ORIGINS" (toJson .) }}{{ end -}}
{{- if $v.auth.existingSecret }}{{ $_ := set $env "CHATBOT_AUTH_KEYS_FILE" "/etc/chatbot/auth/keys" }}{{ end -}}
{{- if $v.privacy.existingSecret }}{{ $_ := set $env "CHATBOT_PRIVACY_SECRET_FILE" "/etc/chatbot/privacy/secret" }}{{ end -}}
{{- if $v.auth.pepperSecret }}{{ $_ := set $env "CHATBOT_AUTH_PEPPER_FILE" "/etc/chatbot/pepper/pepper" }}{{ end -}}
{{- if $v.auth.adminApi.enabled }}{{ $_ := set $env "CHATBOT_AUTH_ADMIN_API" true }}{{ end -}}
{{- if $v.traces.url }}{{ $_ := set $env "CHATBOT_TRACES_URL" $v.traces.url }}{{ $_ := set $env "CHATBOT_TRACES_SAMPLE_RATIO" $v.traces.sampleRatio }}{{ end -}}
{{- if $v.tenants.configMap }}{{ $_ := set $env "CHATBOT_TENANTS_FILE" "/etc/chatbot/tenants/tenants.yaml" }}{{ end -}}
{{- if and (eq $name "character") $v.characters.configMap }}{{ $_ := set $env "CHATBOT_CHARACTERS_FILE" "/etc/chatbot/characters/characters.yaml" }}{{ end -}}
{{- with $v.auth.jwt -}}{{- if .issuer -}}
{{- $_ := set $env "CHATBOT_AUTH_JWT_ISSUER" .issuer -}}
{{- $_ := set $env "CHATBOT_AUTH_JWT_AUDIENCE" .audience -}}
{{- $_ := set $env "CHATBOT_AUTH_JWT_JWKS_FILE" "/etc/chatbot/jwks/jwks.json" -}}
{{- $_ := set $env "CHATBOT_AUTH_JWT_TENANT_CLAIM" .tenantClaim -}}
{{- $_ := set $env "CHATBOT_AUTH_JWT_SCOPE_CLAIM" .scopeClaim -}}
{{- with .scopeMap }}{{ $_ := set $env "CHATBOT_AUTH_JWT_SCOPE_MAP" (toJson .) }}{{ end -}}
{{- end -}}{{- end -}}
{{- with $v.auth.gateway -}}{{- if .peers -}}
{{- $_ := set $env "CHATBOT_AUTH_GATEWAY_PEERS" (toJson .peers) -}}
{{- $_ := set $env "CHATBOT_AUTH_GATEWAY_USER_HEADER" .userHeader -}}
{{- $_ := set $env "CHATBOT_AUTH_GATEWAY_TENANT" .tenant -}}
{{- $_ := set $env "CHATBOT_AUTH_GATEWAY_SCOPES" (toJson .scopes) -}}
{{- end -}}{{- end -}}
{{- if $v.usage.pricesConfigMap }}{{ $_ := set $env "CHATBOT_USAGE_PRICES_FILE" "/etc/chatbot/prices/prices.yaml" }}{{ end -}}
{{- if $s.promptsConfigMap }}{{ $_ := set $env "CHATBOT_PROMPTS_DIR" "/etc/chatbot/prompts" }}{{ end -}}
{{- if $v.caBundleConfigMap }}{{ $_ := set $env "SSL_CERT_FILE" "/etc/chatbot/ca/ca.crt" }}{{ end -}}
{{- if $v.openai.enabled -}}
{{- $_ := set $env "CHATBOT_OPENAI_BASE_URL" $v.openai.baseUrl -}}
{{- $_ := set $env "CHATBOT_OPENAI_MODEL" $v.openai.model -}}
{{- $_ := set $env "CHATBOT_OPENAI_USER_FIELD" $v.openai.userField -}}
{{- $_ := set $env "CHATBOT_OPENAI_FREE_MODE" $v.openai.freeMode -}}
{{- $_ := set $env "CHATBOT_OPENAI_TIMEOUT_SECONDS" $v.openai.timeoutSeconds -}}
{{- $_ := set $env "CHATBOT_OPENAI_MAX_CONCURRENT" $v.openai.maxConcurrent -}}
{{- $_ := set $env "CHATBOT_FALLBACK_ENABLED" $v.openai.fallback -}}
{{- with $v.openai.httpsProxy }}{{ $_ := set $env "HTTPS_PROXY" . }}{{ end -}}
{{- if $v.openai.existingSecret }}{{ $_ := set $env "CHATBOT_OPENAI_API_KEY_FILE" "/etc/chatbot/openai/api-key" }}{{ end -}}
{{- end -}}
{{- $env = merge $env (include "chatbot.embeddingEnv" $root | fromJson) (include "chatbot.keepingEnv" (list $root $name) | fromJson) -}}
{{- with $v.embedding -}}{{- if or .modelRef .file .url -}}
{{- with .file }}{{ $_ := set $env "CHATBOT_EMBEDDING_PATH" (printf "/models/%s" .) }}{{ end -}}
{{- with .url }}{{ $_ := set $env "CHATBOT_EMBEDDING_URL" . }}{{ end -}}
{{- with .model }}{{ $_ := set $env "CHATBOT_EMBEDDING_MODEL" . }}{{ end -}}
{{- if and .url .existingSecret }}{{ $_ := set $env "CHATBOT_EMBEDDING_API_KEY_FILE" "/etc/chatbot/embedding/api-key" }}{{ end -}}
{{- with .family }}{{ $_ := set $env "CHATBOT_EMBEDDING_FAMILY" . }}{{ end -}}
{{- $_ := set $env "CHATBOT_EMBEDDING_DIMENSIONS" (.dimensions | int64) -}}
{{- $_ := set $env "CHATBOT_EMBEDDING_LEAST_COSINE" .leastCosine -}}
{{- $_ := set $env "CHATBOT_EMBEDDING_THREADS" $s.engine.threads -}}
{{- if not $s.gpu.enabled }}{{ $_ := set $env "CHATBOT_EMBEDDING_GPU_LAYERS" 0 }}{{ end -}}
{{- end -}}{{- end -}}
{{- if $v.tools.mcp }}{{ $_ := set $env "CHATBOT_TOOLS_MCP" (include "chatbot.mcp" $root) }}{{ end -}}
{{- with $v.search -}}{{- if .enabled -}}
{{- with .searxngUrl }}{{ $_ := set $env "CHATBOT_SEARCH_SEARXNG_URL" . }}{{ end -}}
{{- if .braveSecret }}{{ $_ := set $env "CHATBOT_SEARCH_BRAVE_KEY_FILE" "/etc/chatbot/brave/token" }}{{ end -}}
{{- if .tavilySecret }}{{ $_ := set $env "CHATBOT_SEARCH_TAVILY_KEY_FILE" "/etc/chatbot/tavily/key" }}{{ end -}}
{{- $_ := set $env "CHATBOT_SEARCH_TIMEOUT_SECONDS" .timeoutSeconds -}}
{{- $_ := set $env "CHATBOT_SEARCH_READ_PAGES" .readPages -}}
{{- $_ := set $env "CHATBOT_SEARCH_OFFERED" .offered -}}
{{- end -}}{{- end -}}
{{- with $v.weather -}}{{- if .plan -}}
{{- $_ := set $env "CHATBOT_WEATHER_PLAN" .plan -}}
{{- with .url }}{{ $_ := set $env "CHATBOT_WEATHER_URL" . }}{{ end -}}
{{- if .keySecret }}{{ $_ := set $env "CHATBOT_WEATHER_KEY_FILE" "/etc/chatbot/weather/key" }}{{ end -}}
{{- end -}}{{- end -}}
{{- with $v.news.feeds }}{{ $_ := set $env "CHATBOT_NEWS_FEEDS" (toJson .) }}{{ end -}}
{{- range $key, $value := $env }}
- name: {{ $key }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with $s.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
