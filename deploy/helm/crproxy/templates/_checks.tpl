{{- /* What no schema can say: which values go together. Each message says what to write. */ -}}
{{- define "crproxy.check" -}}
{{- $v := .Values }}
{{- $isFleet := include "crproxy.isFleet" . }}
{{- $isElsewhere := eq $v.tls.mode "elsewhere" }}
{{- if and (not $v.domain) (not $isElsewhere) }}
{{- fail "domain: TLS needs one: set the name that clients know the proxy by, such as cr.example.com, or tls.mode=elsewhere" }}
{{- end }}
{{- if and (eq $v.tls.mode "certificates") (not $v.tls.certificates) }}
{{- fail "tls.certificates: name the Secrets: [{secret: cr-example-com, key: tls-combined.pem}]" }}
{{- end }}
{{- if and $v.tls.certificates (ne $v.tls.mode "certificates") }}
{{- fail "tls.certificates: they are used with tls.mode=certificates" }}
{{- end }}
{{- if and $v.proxyProtocol (not $v.trustedProxies) }}
{{- fail "proxyProtocol: say under trustedProxies from which networks the header is believed" }}
{{- end }}
{{- range $kind := list "ingress" "gateway" }}
{{- if (get $v $kind).enabled }}
{{- if not $isElsewhere }}
{{- fail (printf "%s.enabled: it ends TLS: set tls.mode=elsewhere" $kind) }}
{{- end }}
{{- if not $v.trustedProxies }}
{{- fail (printf "%s.enabled: say under trustedProxies the networks of its pods: without, all clients are one to the proxy, with one client's limits" $kind) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $v.gateway.enabled (not $v.gateway.parentRefs) }}
{{- fail "gateway.parentRefs: name the Gateways: [{name: public, namespace: gateways}]" }}
{{- end }}
{{- if and $v.ingress.tlsSecret (not $v.domain) }}
{{- fail "ingress.tlsSecret: a certificate is for names: set domain" }}
{{- end }}
{{- if and $v.metrics.serviceMonitor.enabled (not $v.metrics.enabled) }}
{{- fail "metrics.serviceMonitor.enabled: there is nothing to ask: set metrics.enabled=true" }}
{{- end }}
{{- if $isFleet }}
{{- if not $v.fleet.valkey.url }}
{{- fail "fleet.valkey.url: nodes agree by Valkey: set where it is, such as redis://valkey:6379/0" }}
{{- end }}
{{- if (urlParse $v.fleet.valkey.url).userinfo | contains ":" }}
{{- fail "fleet.valkey.url: everybody who may read ConfigMaps would read its password: put it into a Secret, and name that in fleet.valkey.passwordSecret.name" }}
{{- end }}
{{- if not $v.fleet.secret.name }}
{{- fail "fleet.secret.name: nodes know each other by a secret: kubectl create secret generic crproxy-fleet --from-literal=fleet.secret=$(openssl rand -hex 32), and name it" }}
{{- end }}
{{- if $v.persistence.existingClaim }}
{{- fail "persistence.existingClaim: each node of a fleet has a volume of its own: leave it empty" }}
{{- end }}
{{- if and $v.autoscaling.enabled (lt (int $v.autoscaling.maxReplicas) (int $v.autoscaling.minReplicas)) }}
{{- fail "autoscaling.maxReplicas: it is less than minReplicas" }}
{{- end }}
{{- else if $v.autoscaling.enabled }}
{{- fail "autoscaling.enabled: several nodes are a fleet: set mode=fleet" }}
{{- end }}
{{- $taken := list 80 443 }}
{{- if $isFleet }}
{{- if has (int $v.fleet.port) $taken }}
{{- fail "fleet.port: it is taken: clients come to 80 and 443" }}
{{- end }}
{{- $taken = append $taken (int $v.fleet.port) }}
{{- end }}
{{- if and $v.metrics.enabled (has (int $v.metrics.port) $taken) }}
{{- fail "metrics.port: it is taken: clients come to 80 and 443, nodes to fleet.port" }}
{{- end }}
{{- if and $v.storage.endpoint (not $v.storage.url) }}
{{- fail "storage.endpoint: say in storage.url which bucket, such as s3://bucket" }}
{{- end }}
{{- if and (or $v.storage.endpoint $v.storage.region) (not (hasPrefix "s3://" $v.storage.url)) }}
{{- fail "storage: endpoint and region are of S3 alone: leave them empty, or write s3://bucket in storage.url" }}
{{- end }}
{{- if ge (include "crproxy.bytes" $v.cache.size | int64) (include "crproxy.bytes" $v.persistence.size | int64) }}
{{- fail (printf "cache.size: %s does not fit into persistence.size %s, where certificates, the index and what is being fetched are as well" $v.cache.size $v.persistence.size) }}
{{- end }}
{{- if and (not $v.persistence.enabled) $v.persistence.existingClaim }}
{{- fail "persistence.existingClaim: it is used with persistence.enabled=true" }}
{{- end }}
{{- end }}
