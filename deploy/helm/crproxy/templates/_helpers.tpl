{{- define "crproxy.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* 50: what is put behind it is a label of a host name still. */ -}}
{{- define "crproxy.fullname" -}}
{{- $name := include "crproxy.name" . }}
{{- $usual := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $usual | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "crproxy.selector" -}}
app.kubernetes.io/name: {{ include "crproxy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "crproxy.labels" -}}
{{ include "crproxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "crproxy.metadata" -}}
name: {{ include "crproxy.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "crproxy.labels" . | nindent 2 }}
{{- end }}

{{- define "crproxy.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "crproxy.fullname" .) "default") }}
{{- end }}

{{- define "crproxy.image" -}}
{{- $image := .Values.image }}
{{- $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "crproxy.isFleet" -}}
{{- eq .Values.mode "fleet" | ternary "yes" "" }}
{{- end }}

{{- define "crproxy.hasTLS" -}}
{{- eq .Values.tls.mode "elsewhere" | ternary "" "yes" }}
{{- end }}

{{- /* Seconds: to be told, to finish, and ten to put away what was fetched. */ -}}
{{- define "crproxy.terminationGracePeriod" -}}
{{- add .Values.drain .Values.grace 10 }}
{{- end }}

{{- /* The names that clients come by: the domain, all below it, and aliases that are whole names. A JSON list. */ -}}
{{- define "crproxy.hosts" -}}
{{- $hosts := list }}
{{- with .Values.domain }}
{{- $hosts = list . (printf "*.%s" .) }}
{{- end }}
{{- range $alias, $registry := .Values.aliases }}
{{- if and $registry (contains "." $alias) }}
{{- $hosts = append $hosts $alias }}
{{- end }}
{{- end }}
{{- $hosts | toJson }}
{{- end }}

{{- /* The port of a URL, which is given with the one that it has where none is written. */ -}}
{{- define "crproxy.port" -}}
{{- $written := regexFind ":[0-9]+$" (urlParse (index . 0)).host | trimPrefix ":" }}
{{- $written | default (index . 1) }}
{{- end }}

{{- define "crproxy.storagePort" -}}
{{- with .Values.storage.endpoint }}
{{- include "crproxy.port" (list . (hasPrefix "http://" . | ternary 80 443)) }}
{{- else }}443{{ end }}
{{- end }}

{{- define "crproxy.valkeyPort" -}}
{{- include "crproxy.port" (list .Values.fleet.valkey.url 6379) }}
{{- end }}

{{- /* The bytes of a size, as either crproxy or Kubernetes has it: 80G, 1.5T, 100Gi. Kubernetes' own G is smaller. */ -}}
{{- define "crproxy.bytes" -}}
{{- $units := dict "" 1.0 "K" 1024.0 "M" 1048576.0 "G" 1073741824.0 "T" 1099511627776.0 "P" 1125899906842624.0 }}
{{- $unit := regexFind "[KMGTP]" (upper .) }}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $units $unit) | int64 }}
{{- end }}
