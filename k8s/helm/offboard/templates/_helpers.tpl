{{- define "offboard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* 50 characters: a StatefulSet adds a hash to its name and makes a label of it, which may have 63. */}}
{{- define "offboard.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What never changes. A StatefulSet's selector and volume claims cannot be changed, so nothing with a version is in here. */}}
{{- define "offboard.selectorLabels" -}}
app.kubernetes.io/name: {{ include "offboard.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "offboard.labels" -}}
{{ include "offboard.selectorLabels" . }}
app.kubernetes.io/part-of: offboard
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "offboard.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "offboard.peopleConfigMap" -}}
{{- .Values.people.existingConfigMap | default (printf "%s-people" (include "offboard.fullname" .)) -}}
{{- end -}}

{{/* `namespaces` and `cidrs` as peers of a NetworkPolicy. */}}
{{- define "offboard.peers" -}}
{{- range .namespaces }}
- namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: {{ . | quote }} } }
{{- end }}
{{- range .cidrs }}
- ipBlock: { cidr: {{ . | quote }} }
{{- end }}
{{- end -}}

{{/* What only a restart changes. All else is reloaded, and a restart is an outage. */}}
{{- define "offboard.needsRestart" -}}
{{- $audit := .Values.config.audit | default dict -}}
{{- list .Values.config.server .Values.config.store $audit.path | toJson | sha256sum -}}
{{- end -}}

{{/* What the schema cannot say in a way that helps: all of it at once. */}}
{{- define "offboard.check" -}}
{{- $problems := list -}}
{{- if not .Values.image.repository -}}
{{- $problems = append $problems "image.repository: say where your image is; none is published (k8s/README.md says how it is built)" -}}
{{- end -}}
{{- if not .Values.config.issuers -}}
{{- $problems = append $problems "config.issuers: say whose tokens there are, as values.yaml shows it below `config`" -}}
{{- end -}}
{{- if and .Values.people.list .Values.people.existingConfigMap -}}
{{- $problems = append $problems "people: give a list or the name of an existingConfigMap, not both" -}}
{{- end -}}
{{- $name := include "offboard.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- $problems = append $problems (printf "fullnameOverride: no Service may be called %q, so give a name of small letters, digits and dashes that begins with a letter" $name) -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n  %s" (join "\n  " $problems)) -}}
{{- end -}}
{{- end -}}
