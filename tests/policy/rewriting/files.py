"""Files as people have them, of each kind that names images: what is to be rewritten stands in « ».

``«name»`` is a name for which this proxy's stands in its place, ``«before|after»`` one that becomes something else.
"""

from __future__ import annotations

COMPOSE = """\
# The web, and what it needs
services:
  web:
    image: «nginx:1.27-alpine»   # the front
    ports: ["80:80"]
    depends_on: [db, cache]
  db:
    image: "«docker.io/library/postgres:16»"
    environment:
      POSTGRES_PASSWORD: 'x: y'
  cache:
    image: '«quay.io/org/valkey@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef»'
  search:
    image: «docker.elastic.co/elasticsearch/elasticsearch:${STACK_VERSION}»
  ours:
    build: .
    image: registry.example.com/team/ours:dev
volumes: {db: {}}
"""

COMPOSE_WITH_ANCHORS = """\
x-app: &app
  image: &image «ghcr.io/org/app:v1»
  restart: always
services:
  one:
    <<: *app
  two:
    <<: *app
    image: *image
  three:
    image: >-
      «ghcr.io/org/other:v2»
"""

COMPOSE_WITH_VARIABLES = """\
services:
  a:
    image: ${A:-«nginx:1»}
  b:
    image: ${REGISTRY:-«quay.io»}/org/b:${TAG:-latest}
  c:
    image: $REGISTRY/c
  d:
    image: "«quay.io/$ORG/d:$TAG»"
  e:
    image: ${E?say which}
"""

COMPOSE_THAT_BUILDS = """\
services:
  app:
    build:
      additional_contexts:
        - base=docker-image://«alpine:3.20»
      dockerfile_inline: |
        FROM «golang:1.25» AS build
        COPY --from=build /a /a
        COPY --from=«busybox:1» /bin/sh /bin/sh
    volumes:
      - type: image
        source: «org/data:1»
        target: /data
      - {type: bind, source: ./x, target: /x}
"""

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  template:
    spec:
      initContainers:
      - name: wait
        image: «busybox:1.36»
      containers:
      - name: web
        image: «k8s.gcr.io/coredns/coredns:v1.8.6»
        imagePullPolicy: IfNotPresent
        env:
        - name: SIDECAR_IMAGE
          value: «quay.io/org/sidecar:1»
        - name: GREETING
          value: hello:1
        args: ["--reloader-image=«quay.io/org/reloader:2»", --port=80]
      volumes:
      - name: models
        image:
          reference: «quay.io/org/models:1»
          pullPolicy: Always
---
# Another one
apiVersion: batch/v1
kind: CronJob
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers:
          - image: "«gcr.io/project/job@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef»"
            name: job
"""

POD_IN_JSON = """\
{
\t"apiVersion": "v1",
\t"kind": "List",
\t"items": [{"kind": "Pod", "spec": {
\t\t"containers": [{"name": "a", "image": "«nginx»"}],
\t\t"ephemeralContainers": [{"name": "b", "image":"«quay.io/a/b:1»"}]
\t}}]
}"""

WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: "«docker/whalesay:latest»", command: [cowsay]}
  - name: script
    script:
      image: «python:alpine3.20»
      source: |
        print("image: nginx")
  - name: given
    container:
      image: "{{inputs.parameters.image}}"
"""

TEKTON = """\
apiVersion: tekton.dev/v1
kind: Task
spec:
  steps:
    - name: build
      image: «gcr.io/kaniko-project/executor:v1.23.2»
    - name: given
      image: $(params.image)
"""

PROMETHEUS = """\
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
spec:
  baseImage: «quay.io/prometheus/prometheus»
  image: «quay.io/prometheus/prometheus:v2.54.1»
  thanos: {image: «quay.io/thanos/thanos:v0.36.1», objectStorageConfig: {key: x, name: y}}
"""

CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  versions:
  - schema:
      openAPIV3Schema:
        properties:
          image:
            description: "The image: nginx:1"
            type: string
          repository: {type: string}
"""

VALUES = """\
# Default values
replicaCount: 2
global:
  imageRegistry: "«docker.io»"
image:
  repository: «nginx»
  pullPolicy: IfNotPresent
  # Overrides the tag
  tag: "1.27"
sidecar:
  image: "«quay.io/org/sidecar:v1»"
backgroundImage: assets/x.png
"""

VALUES_IN_PARTS = """\
image:
  registry: «docker.io»
  repository: bitnami/postgresql
  tag: 16.4.0-debian-12-r0
  digest: ""
metrics:
  enabled: false
  image: {registry: «quay.io», repository: prometheus/node-exporter, tag: v1.8.2, sha: ""}
controller:
  image:
    registry: ""
    repository: «registry.k8s.io/ingress-nginx/controller»
    tag: v1.11.2
  admissionWebhooks:
    patch:
      image:
        registry: «registry.k8s.io»
        image: ingress-nginx/kube-webhook-certgen
"""

VALUES_BY_REPOSITORY = """\
cainjector:
  repository: «quay.io/jetstack/cert-manager-cainjector»
  tag: v1.16.1
chart:
  repository: https://charts.example.com
  version: 1.2.3
source: {repository: org/code, branch: main}
images:
  operator: «quay.io/org/operator:v1»
  agent: "«ghcr.io/org/agent@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef»"
busyboxImage: «busybox:1.36»
"""

CHART_TEMPLATE = """\
{{- if .Values.enabled }}
apiVersion: apps/v1
kind: Deployment
spec:
  template:
    metadata:
      {{- with .Values.annotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      containers:
        - name: {{ .Chart.Name }}
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default "x" }}"
        - name: fixed
          image: «quay.io/org/fixed:{{ .Chart.AppVersion }}»
        - {name: other, image: "«nginx:1»"}
{{- end }}
"""

KUSTOMIZATION = """\
resources:
- deployment.yaml
images:
- «|newName: cr.example.com/docker.io/nginx
  »name: nginx   # the web
  newTag: "1.27"
- name: org/app
  newName: «ghcr.io/org/app»
  newTag: v1
- {«|newName: cr.example.com/quay.io/a/b, »name: quay.io/a/b, digest: sha256:0}
"""

GITLAB = """\
default:
  image: «ruby:3.3»
variables:
  RUNNER_IMAGE: «gitlab/gitlab-runner:v17»
test:
  image:
    name: "«registry.k8s.io/kubectl:v1.31.0»"
    entrypoint: [""]
  services:
    - postgres:16
    - name: «redis:7»
      alias: cache
  script:
    - docker run --rm -v "$PWD:/src" «alpine:3.20» true
    - |
      docker build -t registry.example.com/x:1 .
      docker pull «quay.io/org/app:v1» && docker push registry.example.com/x:1
"""

GITHUB = """\
on: push
jobs:
  test:
    runs-on: ubuntu-24.04
    container: «node:20»
    services:
      db:
        image: «postgres:16»
    strategy:
      matrix:
        image: ["«debian:12»", "«ghcr.io/org/x:1»"]
    steps:
      - uses: actions/checkout@v4
      - uses: docker://«alpine:3.20»
        with: {args: echo}
      - run: docker run --rm «hadolint/hadolint:v2» < Dockerfile
  other:
    container:
      image: ${{ matrix.image }}
"""

CIRCLECI = """\
version: 2.1
jobs:
  build:
    docker:
      - image: «cimg/go:1.23»
      - image: «postgres:16»
  vm:
    machine:
      image: ubuntu-2204:current
"""

BITBUCKET = """\
image: «node:20»
pipelines:
  default:
    - step:
        services: [docker]
        image: {name: «python:3.12»}
        script: [pip install .]
definitions:
  services:
    docker: {memory: 2048}
"""

DRONE = """\
kind: pipeline
steps:
- name: test
  image: «golang:1.25»
  commands: [go test ./...]
services:
- name: db
  image: «postgres:16»
"""

ANSIBLE = """\
- hosts: all
  tasks:
    - name: Run it
      community.docker.docker_container:
        name: web
        image: «nginx:1.27»
    - docker_container: {name: x, image: "{{ image }}"}
"""

DOCKERFILE = """\
# syntax=«docker/dockerfile:1»
# A comment with FROM nginx in it
ARG GO=1.25
ARG BASE="«gcr.io/distroless/static:nonroot»"
ARG REGISTRY=«docker.io»

FROM --platform=$BUILDPLATFORM «golang:${GO}-alpine» AS build
WORKDIR /src
RUN --mount=type=bind,from=«quay.io/org/tools:1»,target=/tools \\
    --mount=type=cache,target=/root/.cache \\
    # in between
    go build -o /app . && echo "FROM x"

FROM build AS test
RUN <<EOF
FROM alpine
EOF

FROM ${REGISTRY}/library/debian:12 AS files
from scratch as empty

FROM $BASE
COPY --from=build --chown=65532:65532 /app /app
COPY --from=0 /x /x
COPY --link --from=«ghcr.io/org/assets:v2» /assets /assets
ONBUILD COPY --from=«busybox» /bin/sh /bin/sh
ENTRYPOINT ["/app"]"""

DOCKERFILE_OF_WINDOWS = (
    "# escape=`\r\n"
    "FROM «mcr.microsoft.com/windows/servercore:ltsc2022»\r\n"
    "COPY --from=«mcr.microsoft.com/dotnet/sdk:8.0» `\r\n"
    "  C:\\dotnet C:\\dotnet\\\r\n"
    "RUN dir C:\\\r\n"
    "FROM «mcr.microsoft.com/windows/nanoserver:ltsc2022»"
)

SCRIPT = """\
#!/bin/sh
set -eu
TAG=$(docker run --rm «alpine:3.20» date +%s)
sudo -E docker pull --platform linux/arm64 «quay.io/org/app:v1»
docker tag «quay.io/org/app:v1» registry.example.com/app:"$TAG" && docker push registry.example.com/app:"$TAG"
docker run -dit -p 80:80 --name web -e A=b --restart always \\
    «nginx:alpine» nginx -g 'daemon off; # x'
podman run --rm -v /a:/b:Z "«docker.io/library/redis:7»" redis-cli
nerdctl --namespace k8s.io pull «ghcr.io/org/x:1»
docker build -t me/nginx:1 --build-context base=docker-image://«alpine:3» .
# docker pull nginx
echo "docker pull nginx"
for image in a b; do docker pull "$image"; done
"""

TOOLS = """\
skopeo copy --all docker://«quay.io/org/app:v1» docker://registry.example.com/app:v1
skopeo copy dir:/x docker://registry.example.com/app:v2
ctr -n k8s.io images pull --platform linux/amd64 «docker.io/library/redis:7»
crictl pull «registry.k8s.io/pause:3.10»
crane copy «gcr.io/go-containerregistry/crane:v1» registry.example.com/crane
buildah from --name x «fedora:41»
apptainer exec docker://«nvcr.io/nvidia/pytorch:24.10-py3» python
helm install web oci://«ghcr.io/org/charts/web» --version 1
kubectl run x --image=«busybox:1» --restart=Never
kubectl set image deployment/web web=«nginx:1.27» sidecar=«quay.io/a/b:2»
kind create cluster --image «kindest/node:v1.31.0»
"""

LIST = """\
# What has to be there
«docker.io/rancher/mirrored-pause:3.6»
«rancher/klipper-helm:v0.9»

«registry.k8s.io/metrics-server/metrics-server:v0.7.2»
"""

PAGES = """\
«https://github.com/Org/Repo/pkgs/container/app|cr.example.com/ghcr.io/org/app»
«https://github.com/orgs/org/packages/container/package/charts%2Fweb|cr.example.com/ghcr.io/org/charts/web»
«https://gallery.ecr.aws/docker/library/nginx|cr.example.com/public.ecr.aws/docker/library/nginx»
«https://mcr.microsoft.com/en-us/artifact/mar/dotnet/sdk/about|cr.example.com/mcr.microsoft.com/dotnet/sdk»
«https://catalog.ngc.nvidia.com/orgs/nvidia/containers/pytorch|cr.example.com/nvcr.io/nvidia/pytorch»
«https://hub.docker.com/_/nginx|cr.example.com/docker.io/library/nginx»
«https://quay.io/repository/prometheus/busybox?tab=tags|cr.example.com/quay.io/prometheus/busybox»
"""

NOMAD = """\
job "web" {
  group "web" {
    task "web" {
      driver = "docker"
      config {
        image = "«nginx:1.27»"
        # image = "old:1"
        base_image = "«quay.io/org/base:1»"
        ports = ["http"]
      }
    }
  }
}
"""

DEVCONTAINER = """\
// For everybody
{
  "name": "Go", // its name
  "image": "«mcr.microsoft.com/devcontainers/go:1.23»",
  "features": {}
}
"""

BAKE = """\
target "app" {
  tags = ["registry.example.com/app:1"]
  contexts = {
    base = "docker-image://«alpine:3.20»"
  }
}
"""

ZARF = """\
kind: ZarfPackageConfig
components:
  - name: web
    images:
      - «nginx:1.27»
      - "«ghcr.io/org/app:v1»"
"""

SKAFFOLD = """\
apiVersion: skaffold/v4beta11
kind: Config
build:
  artifacts:
    - image: org/built
      docker: {dockerfile: Dockerfile}
"""

FILES = {
    "compose": ("compose.yaml", COMPOSE),
    "compose, anchors": ("compose.yaml", COMPOSE_WITH_ANCHORS),
    "compose, variables": ("compose.yaml", COMPOSE_WITH_VARIABLES),
    "compose, builds": ("compose.yaml", COMPOSE_THAT_BUILDS),
    "compose, CRLF": ("docker-compose.yml", COMPOSE.replace("\n", "\r\n")),
    "compose, BOM": ("docker-compose.yml", "\ufeff" + COMPOSE),
    "Deployment and CronJob": ("web.yaml", DEPLOYMENT),
    "Pods in JSON": ("pods.json", POD_IN_JSON),
    "Workflow of Argo's": ("workflow.yaml", WORKFLOW),
    "Task of Tekton's": ("task.yaml", TEKTON),
    "Prometheus": ("prometheus.yaml", PROMETHEUS),
    "CustomResourceDefinition": ("crd.yaml", CRD),
    "values": ("values.yaml", VALUES),
    "values, in parts": ("values.yaml", VALUES_IN_PARTS),
    "values, by repository": ("values.yaml", VALUES_BY_REPOSITORY),
    "chart's template": ("deployment.yaml", CHART_TEMPLATE),
    "kustomization": ("kustomization.yaml", KUSTOMIZATION),
    "GitLab CI": (".gitlab-ci.yml", GITLAB),
    "GitHub Actions": ("test.yml", GITHUB),
    "CircleCI": ("config.yml", CIRCLECI),
    "Bitbucket": ("bitbucket-pipelines.yml", BITBUCKET),
    "Drone": (".drone.yml", DRONE),
    "Ansible": ("play.yml", ANSIBLE),
    "Dockerfile": ("Dockerfile", DOCKERFILE),
    "Dockerfile of Windows": ("windows.Dockerfile", DOCKERFILE_OF_WINDOWS),
    "script": ("pull.sh", SCRIPT),
    "tools": ("README.txt", TOOLS),
    "list": ("images.txt", LIST),
    "web pages": ("pages.txt", PAGES),
    "Nomad": ("web.nomad.hcl", NOMAD),
    "development container": ("devcontainer.jsonc", DEVCONTAINER),
    "bake": ("docker-bake.hcl", BAKE),
    "Zarf": ("zarf.yaml", ZARF),
    "Skaffold": ("skaffold.yaml", SKAFFOLD),
}
"""Each kind: the file's name, and what is in it."""
