{{- /* What the values say of the configuration, as a tree in JSON. */ -}}
{{- define "crproxy.valuesConfig" -}}
{{- $v := .Values }}
{{- $proxied := $v.proxyProtocol | ternary "haproxy:" "" }}
{{- $listen := dict "http" (list (printf "%stcp:80" $proxied)) "grace" (printf "%ds" (int $v.grace)) }}
{{- $_ := set $listen "https" (eq $v.tls.mode "elsewhere" | ternary list (list (printf "%stcp:443" $proxied))) }}
{{- with $v.trustedProxies }}{{ $_ := set $listen "trusted_proxies" . }}{{ end }}
{{- $config := dict "data_dir" "/data" "listen" $listen "cache" (dict "size" $v.cache.size) }}
{{- with $v.domain }}{{ $_ := set $config "domain" . }}{{ end }}
{{- with $v.aliases }}{{ $_ := set $config "aliases" . }}{{ end }}
{{- if ne (toString $v.workers) "1" }}
{{- $_ := set $config "workers" (kindIs "string" $v.workers | ternary $v.workers (int64 $v.workers)) }}
{{- end }}
{{- if eq $v.tls.mode "acme" }}
{{- $acme := dict }}
{{- with $v.tls.email }}{{ $_ := set $acme "email" . }}{{ end }}
{{- if ne $v.tls.directory "letsencrypt" }}{{ $_ := set $acme "directory" $v.tls.directory }}{{ end }}
{{- with $acme }}{{ $_ := set $config "acme" . }}{{ end }}
{{- else if eq $v.tls.mode "certificates" }}
{{- $_ := set $config "acme" (dict "directory" "none") }}
{{- $_ := set $config "certs" "/etc/crproxy/certs" }}
{{- end }}
{{- if $v.metrics.enabled }}{{ $_ := set $config "metrics" (dict "listen" (printf "tcp:%d" (int $v.metrics.port))) }}{{ end }}
{{- if $v.storage.url }}
{{- $storage := dict "url" $v.storage.url }}
{{- range $key := list "endpoint" "region" "size" }}
{{- with get $v.storage $key }}{{ $_ := set $storage $key . }}{{ end }}
{{- end }}
{{- if $v.storage.redirect }}{{ $_ := set $storage "redirect" true }}{{ end }}
{{- $_ := set $config "storage" $storage }}
{{- end }}
{{- if include "crproxy.isFleet" . }}
{{- $fleet := dict "valkey" $v.fleet.valkey.url "secret_file" "/etc/crproxy/fleet.secret" }}
{{- if $v.fleet.valkey.passwordSecret.name }}{{ $_ := set $fleet "valkey_password_file" "/etc/crproxy/valkey.password" }}{{ end }}
{{- if ne $v.fleet.prefix "crproxy" }}{{ $_ := set $fleet "prefix" $v.fleet.prefix }}{{ end }}
{{- $_ := set $config "fleet" $fleet }}
{{- end }}
{{- $config | toJson }}
{{- end }}

{{- /* Fails for a key that both trees have: of two words one would be passed over in silence. */ -}}
{{- define "crproxy.refuseTwice" -}}
{{- $path := .path }}
{{- $made := .made }}
{{- range $key, $written := .written }}
{{- if hasKey $made $key }}
{{- $there := get $made $key }}
{{- if and (kindIs "map" $written) (kindIs "map" $there) }}
{{- include "crproxy.refuseTwice" (dict "path" (append $path $key) "made" $there "written" $written) }}
{{- else }}
{{- fail (printf "config: %s is made from the chart's values: say it there, as the chart's README.md has it" (join "." (append $path $key))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* crproxy.toml. Numbers go from TOML to TOML: by way of YAML or JSON 2 is 2.0. */ -}}
{{- define "crproxy.config" -}}
{{- $written := fromToml .Values.config }}
{{- if and (hasKey $written "Error") (kindIs "string" $written.Error) }}
{{- fail (printf "config: %s" $written.Error) }}
{{- end }}
{{- $made := include "crproxy.valuesConfig" . | fromJson }}
{{- if kindIs "float64" $made.workers }}{{ $_ := set $made "workers" (int64 $made.workers) }}{{ end }}
{{- include "crproxy.refuseTwice" (dict "path" list "made" $made "written" $written) }}
{{- if hasKey (get $written "fleet" | default dict) "advertise" }}
{{- fail "config: fleet.advertise is each pod's own, and the chart says it on the command line" }}
{{- end }}
{{- mustMergeOverwrite $written $made | toToml }}
{{- end }}
