{{/* What every name begins with. Cut, so that names of pods, which are names of leaves and coordinators, fit. */}}
{{- define "nautilus.name" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if not (contains $name .Release.Name) -}}{{- $name = printf "%s-%s" .Release.Name $name -}}{{- end -}}
{{- $name | trunc 24 | trimSuffix "-" -}}
{{- end -}}

{{/* Which pods: (dict "root" $ "role" "leaf" "group" "a") */}}
{{- define "nautilus.selector" -}}
app.kubernetes.io/name: nautilus
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- with .group }}
nautilus/replica-group: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "nautilus.labels" -}}
{{ include "nautilus.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "nautilus.image" -}}
{{- $image := .root.Values.image -}}
{{- printf "%s:%s" $image.repository (.tag | default $image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}

{{/* Each root by its name, as the list of [cluster] roots. */}}
{{- define "nautilus.roots" -}}
{{- $service := printf "%s-root" (include "nautilus.name" .) -}}
{{- $roots := list -}}
{{- range $number := until (int .Values.root.replicas) -}}
{{- $roots = append $roots (printf "http://%s-%d.%s.%s.svc:7201" $service $number $service $.Release.Namespace) -}}
{{- end -}}
{{- toJson $roots -}}
{{- end -}}

{{- define "nautilus.podMetadata" -}}
labels:
  {{- include "nautilus.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  nautilus/config: {{ .root.Values.config | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Of every pod. Variables that Kubernetes makes of Services (NAUTILUS_ROOT_PORT=…) would be taken for settings. */}}
{{- define "nautilus.podSettings" -}}
enableServiceLinks: false
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "nautilus.containerSettings" -}}
image: {{ include "nautilus.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/*
Configuration, keys and credentials in one folder. A process refuses private files that others may read, and those of
a mounted Secret belong to root and are read through the group: so they are copied, into memory. What changes in a
Secret counts from the next start of the pod.
*/}}
{{- define "nautilus.filesContainer" -}}
- name: files
  {{- include "nautilus.containerSettings" . | nindent 2 }}
  command:
    - /bin/sh
    - -ec
    - |
      for folder in keys identity secrets; do
        mkdir -p -m 0700 "/etc/nautilus/$folder"
        for file in "/mnt/$folder"/*; do
          if [ -f "$file" ]; then install -m 0600 "$file" "/etc/nautilus/$folder/"; fi
        done
      done
      install -m 0600 /mnt/config/nautilus.toml /etc/nautilus/
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: files, mountPath: /etc/nautilus}
    - {name: config, mountPath: /mnt/config, readOnly: true}
    {{- if .keys }}
    - {name: keys, mountPath: /mnt/keys, readOnly: true}
    {{- end }}
    {{- if .identity }}
    - {name: identity, mountPath: /mnt/identity, readOnly: true}
    {{- end }}
    {{- if .credentials }}
    - {name: credentials, mountPath: /mnt/secrets, readOnly: true}
    {{- end }}
{{- end -}}

{{- define "nautilus.filesVolumes" -}}
- name: files
  emptyDir: {medium: Memory, sizeLimit: 4Mi}
- name: config
  configMap: {name: {{ .config }}}
{{- if .keys }}
- name: keys
  secret:
    secretName: {{ .root.Values.keysSecret }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- end }}
{{- if .identity }}
- name: identity
  secret:
    secretName: {{ .root.Values.keysSecret }}
    defaultMode: 0440
    items:
      - {key: development-issuer.pub, path: development-issuer.pub}
{{- end }}
{{- with .credentials }}
- name: credentials
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* The variables of a role: what it is called and where it listens. */}}
{{- define "nautilus.env" -}}
- name: NAUTILUS_SERVER_ADMIN_LISTEN_ADDRESS
  value: 0.0.0.0:9700
{{- with .port }}
- name: NAUTILUS_SERVER_LISTEN_ADDRESS
  value: 0.0.0.0:{{ . }}
{{- end }}
{{/* The chart brings no authority: the network policies say who may connect. */}}
- name: NAUTILUS_SERVER_ALLOW_PLAINTEXT
  value: "true"
- name: NAUTILUS_KEYS_DIR
  value: /etc/nautilus/keys
- name: NAUTILUS_KEYS_IDENTITY_DIR
  value: /etc/nautilus/identity
- name: NAUTILUS_CLUSTER_ROOTS
  value: {{ include "nautilus.roots" .root | quote }}
{{- end -}}

{{- define "nautilus.ports" -}}
{{- with .port }}
- {name: grpc, containerPort: {{ . }}}
{{- end }}
- {name: admin, containerPort: 9700}
{{- end -}}

{{/* A start waits for the services it needs, up to ten minutes. */}}
{{- define "nautilus.probes" -}}
startupProbe:
  httpGet: {path: /health/livez, port: admin}
  periodSeconds: 2
  failureThreshold: 300
livenessProbe:
  httpGet: {path: /health/livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /health/readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end -}}

{{/*
The pod of a stateless role: (dict "root" $ "role" "merger" "args" (list …) "port" 7700 "settings" .Values.merger
"grace" 45 "keys" (list …) "identity" true "group" "a" "tag" "" "env" (list …))
*/}}
{{- define "nautilus.pod" -}}
{{- $values := .root.Values -}}
{{- $name := include "nautilus.name" .root -}}
{{- $credentials := .settings.credentialsSecret | default $values.credentialsSecret -}}
{{- $_ := set . "credentials" $credentials -}}
{{- $_ := set . "config" (printf "%s-config" $name) -}}
metadata:
  {{- include "nautilus.podMetadata" . | nindent 2 }}
spec:
  {{- include "nautilus.podSettings" . | nindent 2 }}
  terminationGracePeriodSeconds: {{ .grace }}
  {{- with .settings.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .settings.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "nautilus.selector" . | nindent 16 }}
  initContainers:
    {{- include "nautilus.filesContainer" . | nindent 4 }}
  containers:
    - name: {{ .role }}
      {{- include "nautilus.containerSettings" . | nindent 6 }}
      args: {{ toJson .args }}
      env:
        {{- include "nautilus.env" . | nindent 8 }}
        {{- with .env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- with $values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        {{- include "nautilus.ports" . | nindent 8 }}
      {{- include "nautilus.probes" . | nindent 6 }}
      resources:
        {{- toYaml .settings.resources | nindent 8 }}
      volumeMounts:
        - {name: files, mountPath: /etc/nautilus, readOnly: true}
        - {name: tmp, mountPath: /tmp}
  volumes:
    {{- include "nautilus.filesVolumes" . | nindent 4 }}
    - name: tmp
      emptyDir: {}
{{- end -}}

{{/* At most one pod of these away by choice. */}}
{{- define "nautilus.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels:
    {{- include "nautilus.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "nautilus.selector" . | nindent 6 }}
{{- end -}}
