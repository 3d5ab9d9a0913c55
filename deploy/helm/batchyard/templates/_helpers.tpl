{{- define "batchyard.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "batchyard.labels" -}}
app.kubernetes.io/name: batchyard
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* One deployment of a role. Takes a dict: root, role, values. */}}
{{- define "batchyard.deployment" -}}
{{- $root := .root -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "batchyard.name" $root }}-{{ .role }}
  labels:
    {{- include "batchyard.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
spec:
  replicas: {{ .values.replicas }}
  selector:
    matchLabels:
      {{- include "batchyard.labels" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .role }}
  template:
    metadata:
      labels:
        {{- include "batchyard.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .role }}
      annotations:
        checksum/config: {{ $root.Values.config | sha256sum }}
    spec:
      serviceAccountName: {{ include "batchyard.name" $root }}
      automountServiceAccountToken: false
      # Variables such as BATCHYARD_API_PORT would be none of ours.
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        seccompProfile: { type: RuntimeDefault }
      containers:
        - name: batchyard
          image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: ["serve", "--config", "/etc/batchyard/batchyard.toml"]
          env:
            - name: BATCHYARD_ROLE
              value: {{ .role }}
            - name: BATCHYARD_HOST
              value: "0.0.0.0"
            - name: BATCHYARD_ALLOWED_HOSTS
              value: {{ include "batchyard.hosts" $root | quote }}
            {{- include "batchyard.environment" $root | nindent 12 }}
          envFrom:
            - secretRef: { name: {{ $root.Values.secret }} }
          ports:
            - { name: http, containerPort: 8787 }
          # An address leaves the service some seconds after the pod is told to stop.
          lifecycle:
            preStop: { exec: { command: ["sleep", "5"] } }
          startupProbe:
            httpGet: { path: /healthz, port: http }
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: { path: /healthz, port: http }
            periodSeconds: 10
            timeoutSeconds: 5
          readinessProbe:
            httpGet: { path: /readyz, port: http }
            periodSeconds: 5
            timeoutSeconds: 5
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          securityContext:
            {{- include "batchyard.confined" $root | nindent 12 }}
          volumeMounts:
            {{- include "batchyard.mounts" $root | nindent 12 }}
      volumes:
        {{- include "batchyard.volumes" $root | nindent 8 }}
{{- end }}

{{/* What all processes are told. */}}
{{- define "batchyard.environment" -}}
- name: BATCHYARD_DATABASE
  value: {{ required "database: name a PostgreSQL, such as postgresql://user@host/name" .Values.database | quote }}
- name: BATCHYARD_OBJECTS
  value: {{ required "objects: name an object store, such as s3://bucket/prefix" .Values.objects | quote }}
{{- range $name, $value := .Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/* What a container may do. */}}
{{- define "batchyard.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "batchyard.mounts" -}}
- { name: config, mountPath: /etc/batchyard, readOnly: true }
- { name: data, mountPath: /data }
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "batchyard.volumes" -}}
- name: config
  configMap: { name: {{ include "batchyard.name" . }} }
- name: data
  emptyDir: {}
- name: tmp
  emptyDir: {}
{{- end }}

{{/* The names that clients may call it by. */}}
{{- define "batchyard.hosts" -}}
{{- $name := include "batchyard.name" . -}}
{{- $hosts := list -}}
{{- range $role := list "api" "dispatch" -}}
{{- $hosts = append $hosts (printf "%s-%s" $name $role) -}}
{{- $hosts = append $hosts (printf "%s-%s.%s" $name $role $.Release.Namespace) -}}
{{- $hosts = append $hosts (printf "%s-%s.%s.svc.cluster.local" $name $role $.Release.Namespace) -}}
{{- end -}}
{{- if .Values.ingress.host -}}{{- $hosts = append $hosts .Values.ingress.host -}}{{- end -}}
{{ join "," $hosts }}
{{- end }}

{{/* Where the head of the Ray cluster is: the service that KubeRay makes. */}}
{{- define "batchyard.rayHead" -}}
{{ include "batchyard.name" . }}-ray-head-svc.{{ .Release.Namespace }}:6379
{{- end }}

{{/* What all pods with Ray in them have in common. */}}
{{- define "batchyard.rayPod" -}}
serviceAccountName: {{ include "batchyard.name" . }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* A container with Ray. Takes a dict: root, port (that answers while Ray lives; KubeRay's own probes need the dashboard),
token (the operator tells only its own pods). */}}
{{- define "batchyard.rayContainer" -}}
{{- $ray := .root.Values.ray -}}
image: "{{ $ray.image.repository }}:{{ $ray.image.tag | default .root.Chart.AppVersion }}"
imagePullPolicy: {{ $ray.image.pullPolicy }}
env:
  - name: HOME
    value: /tmp
  - name: BATCHYARD_DATA
    value: /data
  # Nobody calls a dispatcher that Ray placed.
  - name: BATCHYARD_HOST
    value: 127.0.0.1
  {{- if .token }}
  - name: RAY_AUTH_MODE
    value: token
  - name: RAY_AUTH_TOKEN
    valueFrom:
      secretKeyRef: { name: {{ include "batchyard.name" .root }}-ray, key: auth_token }
  {{- end }}
  {{- include "batchyard.environment" .root | nindent 2 }}
securityContext:
  {{- include "batchyard.confined" .root | nindent 2 }}
{{- with .port }}
livenessProbe:
  tcpSocket: { port: {{ . }} }
  periodSeconds: 10
  failureThreshold: 12
readinessProbe:
  tcpSocket: { port: {{ . }} }
  periodSeconds: 5
{{- end }}
{{- end }}
