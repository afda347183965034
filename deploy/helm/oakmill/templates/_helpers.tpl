{{- define "oakmill.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "oakmill.labels" -}}
app.kubernetes.io/name: oakmill
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What selects pods; it never changes. Call with (list . "hub"). */}}
{{- define "oakmill.selects" -}}
app.kubernetes.io/name: oakmill
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "oakmill.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "oakmill.account" -}}
{{ .Values.serviceAccount.name | default (ternary (include "oakmill.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "oakmill.address" -}}
{{ ternary "https" "http" (ne .Values.ingress.tlsSecret "") }}://{{ .Values.ingress.host }}
{{- end }}

{{/* What all pods share: whose they are, and what they may not. */}}
{{- define "oakmill.pod" -}}
serviceAccountName: {{ include "oakmill.account" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "oakmill.container" -}}
image: {{ include "oakmill.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Variables of hub and workers. */}}
{{- define "oakmill.env" -}}
- name: OAKMILL_DATABASE
  valueFrom: {secretKeyRef: {name: {{ .Values.secret.name }}, key: {{ .Values.secret.database }}}}
- name: OAKMILL_STORE
  value: {{ .Values.store | default "/data/files" | quote }}
{{- if .Values.store }}
- name: OAKMILL_STORE_OPTIONS
  valueFrom: {secretKeyRef: {name: {{ .Values.secret.name }}, key: {{ .Values.secret.storeOptions }}, optional: true}}
{{- end }}
- name: OAKMILL_LOG_FORMAT
  value: json
{{- range $name, $key := .Values.secret.environment }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.secret.name }}, key: {{ $key }}}}
{{- end }}
{{- range $name, $value := .Values.environment }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "oakmill.hubClaim" -}}
{{ .Values.hub.persistence.existingClaim | default (printf "%s-hub" (include "oakmill.name" .)) }}
{{- end }}

{{- define "oakmill.toolsClaim" -}}
{{ .Values.worker.toolchains.existingClaim | default (printf "%s-toolchains" (include "oakmill.name" .)) }}
{{- end }}

{{/* What all pods write: a folder of their own, and toolchains, caches and calibration sets that they share. */}}
{{- define "oakmill.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: data, mountPath: /data}
{{- if .Values.worker.toolchains.enabled }}
- {name: toolchains, mountPath: /data/toolchains, subPath: toolchains}
- {name: toolchains, mountPath: /data/cache, subPath: cache}
- {name: toolchains, mountPath: /data/datasets, subPath: datasets}
{{- end }}
{{- end }}

{{/* And where a worker finds the hub's files, if not in S3. */}}
{{- define "oakmill.workerMounts" -}}
{{ include "oakmill.mounts" . }}
{{- if not .Values.store }}
- {name: hub, mountPath: /data/files, subPath: files}
{{- end }}
{{- end }}

{{- define "oakmill.tools" -}}
{{- if .Values.worker.toolchains.enabled }}
- name: toolchains
  persistentVolumeClaim: {claimName: {{ include "oakmill.toolsClaim" . }}}
{{- end }}
{{- end }}

{{- define "oakmill.workerVolumes" -}}
- {name: tmp, emptyDir: {}}
- {name: data, emptyDir: {}}
{{- include "oakmill.tools" . }}
{{- if not .Values.store }}
- name: hub
  persistentVolumeClaim: {claimName: {{ include "oakmill.hubClaim" . }}}
{{- end }}
{{- end }}

{{- define "oakmill.check" -}}
{{- if and (not .Values.store) .Values.worker.pools (not .Values.hub.persistence.existingClaim) (ne .Values.hub.persistence.accessMode "ReadWriteMany") }}
{{- fail "Workers have to reach the hub's files: set store to s3://..., or hub.persistence.accessMode to ReadWriteMany." }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host is missing: the name that clients know the hub by." }}
{{- end }}
{{- end }}
