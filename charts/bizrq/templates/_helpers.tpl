{{/* How the API server reaches one route of the webhook; called with (dict "root" $ "route" NAME). */}}
{{- define "bizrq.clientConfig" -}}
{{- $webhook := .root.Values.webhook -}}
{{- if $webhook.url -}}
url: {{ printf "%s/%s" $webhook.url .route | quote }}
{{- else -}}
service:
  name: {{ $webhook.service.name }}
  namespace: {{ .root.Release.Namespace }}
  port: {{ $webhook.service.port }}
  path: {{ printf "/%s/%s" $webhook.pathToken .route | quote }}
{{- end }}
{{- with $webhook.caBundle }}
caBundle: {{ . }}
{{- end }}
{{- end }}

{{/* A namespace selector without what must always be repairable; called with (dict "root" $ "selector" SELECTOR). */}}
{{- define "bizrq.namespaceSelector" -}}
{{- with .selector.matchLabels -}}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{ end -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ list .root.Release.Namespace "kube-system" | uniq | toJson }}
{{- with .selector.matchExpressions }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Rules of a webhook, one an API; called with (dict "workloads" LIST "suffix" TEXT "operations" LIST), where the suffix is
put behind each resource.
*/}}
{{- define "bizrq.rules" -}}
{{- $resources := dict -}}
{{- range .workloads -}}
{{- $api := printf "%s/%s" .group .version -}}
{{- $_ := set $resources $api (append (get $resources $api | default list) (print .resource $.suffix)) -}}
{{- end -}}
{{- range $api, $names := $resources }}
- apiGroups: [{{ dir $api | trimAll "./" | quote }}]
  apiVersions: [{{ base $api }}]
  resources: {{ toJson $names }}
  operations: {{ toJson $.operations }}
  scope: Namespaced
{{- end }}
{{- end }}

{{/*
The kinds of workload that are counted, as YAML: those that bizrq knows by itself, whose description is a copy of the
package's own file (make chart), and those of the values.
*/}}
{{- define "bizrq.kinds" -}}
{{- $known := (.Files.Get "files/kinds.yaml" | fromYaml).kinds -}}
{{- toYaml (dict "kinds" (concat $known .Values.workloads)) -}}
{{- end }}

{{/* What kinds name beside themselves in the field "between", as YAML, without the kinds themselves. */}}
{{- define "bizrq.between" -}}
{{- $known := dict -}}
{{- range .kinds -}}
{{- $_ := set $known (printf "%s/%s" .group .resource) true -}}
{{- end -}}
{{- $found := list -}}
{{- range .kinds -}}
{{- range .between | default list -}}
{{- $name := printf "%s/%s" .group .resource -}}
{{- if not (hasKey $known $name) -}}
{{- $_ := set $known $name true -}}
{{- $found = append $found . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml (dict "kinds" $found) -}}
{{- end }}

{{/* The bizrq that the children of an object will name; called with (dict "kind" KIND "of" "object" or "oldObject"). */}}
{{- define "bizrq.childLabel" -}}
{{ .of }}.?{{ .kind.childLabels }}['biz.group.resource.quota'].orValue('')
{{- end }}

{{/* Rights on the counted kinds, one rule a group; called with (dict "workloads" LIST "verbs" LIST). */}}
{{- define "bizrq.rights" -}}
{{- $resources := dict -}}
{{- range .workloads -}}
{{- $_ := set $resources .group (append (get $resources .group | default list) .resource) -}}
{{- end -}}
{{- range $group, $names := $resources }}
- apiGroups: [{{ $group | quote }}]
  resources: {{ uniq $names | toJson }}
  verbs: {{ toJson $.verbs }}
{{- end }}
{{- end }}
