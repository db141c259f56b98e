{{/* True where the webhook runs in the cluster, started by this chart; else empty. */}}
{{- define "bizrq.webhookDeployed" -}}
{{- if and .Values.webhook.deploy (not .Values.webhook.url) (not .Values.webhook.pathToken) -}}true{{- end -}}
{{- end }}

{{/* True where there is a webhook configuration; else empty. */}}
{{- define "bizrq.asked" -}}
{{- if or (include "bizrq.webhookDeployed" .) .Values.webhook.url .Values.webhook.pathToken -}}true{{- end -}}
{{- end }}

{{/* The Secret with certificate and key of the webhook. */}}
{{- define "bizrq.certificateSecret" -}}
{{- if eq .Values.certificates.provider "operator" -}}
bizrq-webhook
{{- else if eq .Values.certificates.provider "cert-manager" -}}
bizrq-webhook-tls
{{- else -}}
{{- .Values.certificates.secretName | required "certificates.secretName is empty: with certificates.provider=external it has to name the Secret with tls.crt and tls.key for the webhook" -}}
{{- end -}}
{{- end }}

{{/*
How the API server reaches one route of the webhook; called with (dict "root" $ "route" NAME). Where the controller makes
path and authority, or cert-manager the latter, they are left out: what is not in the template stays as it is in an upgrade.
*/}}
{{- define "bizrq.clientConfig" -}}
{{- $webhook := .root.Values.webhook -}}
{{- $deployed := include "bizrq.webhookDeployed" .root -}}
{{- if $webhook.url -}}
url: {{ printf "%s/%s" $webhook.url .route | quote }}
{{- else -}}
service:
  name: {{ $webhook.service.name }}
  namespace: {{ .root.Release.Namespace }}
  port: {{ $webhook.service.port }}
  {{- if not $deployed }}
  path: {{ printf "/%s/%s" $webhook.pathToken .route | quote }}
  {{- end }}
{{- end }}
{{- if and $webhook.caBundle (or (not $deployed) (eq .root.Values.certificates.provider "external")) }}
caBundle: {{ $webhook.caBundle }}
{{- end }}
{{- end }}

{{/* By what the pods of one process are selected; called with (dict "root" $ "component" NAME). */}}
{{- define "bizrq.selector" -}}
app.kubernetes.io/name: bizrq
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The labels of what belongs to one process; called with (dict "root" $ "component" NAME). */}}
{{- define "bizrq.labels" -}}
{{ include "bizrq.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The image, by digest where there is one. */}}
{{- define "bizrq.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ printf "%s@%s" .repository .digest }}
{{- else -}}
{{ printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What no container of ours may do. */}}
{{- define "bizrq.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What both processes are told; called with the root. */}}
{{- define "bizrq.sharedArgs" -}}
- {{ printf "--gpu-resources=%s" (join "," .Values.gpuResources) | quote }}
- --log-format={{ .Values.logFormat }}
{{- if .Values.workloads }}
- --workloads=/run/bizrq/workloads/kinds.yaml
{{- end }}
{{- end }}

{{/*
Where the pods of one process may run, and how they are spread; called with (dict "root" $ "component" NAME "values" MAP).
*/}}
{{- define "bizrq.placement" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    # Pods of one version only: during an upgrade those that go would count, and the new ones end up side by side.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "bizrq.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels and annotations of the pods of one process; called as bizrq.placement. */}}
{{- define "bizrq.podMetadata" -}}
labels:
  {{- include "bizrq.selector" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := .values.podAnnotations }}
{{- if .root.Values.workloads }}
{{- /* The file of kinds is read at the start. */ -}}
{{- $annotations = merge (dict "checksum/workloads" (.root.Values.workloads | toJson | sha256sum)) $annotations }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
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
