# A small image of crproxy: podman build -t crproxy . , or docker build.
#
#   docker run -p 127.0.0.1:5000:5000 -v crproxy:/data crproxy
#
# With a domain and TLS: compose.yaml, or deploy/kubernetes.

# A base with Python 3.11 or newer and Debian's layout; another registry's, or a mirror's, will do as well.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
COPY . /source
# A virtual environment that is moved as a whole. Wheels are all that is installed, so no compiler is needed.
RUN python3 -m venv /opt/crproxy \
 && /opt/crproxy/bin/python -m pip install --no-cache-dir --disable-pip-version-check --only-binary :all: '/source[fleet]' \
 && /opt/crproxy/bin/twistd crproxy --help > /dev/null \
 && /opt/crproxy/bin/python -m pip uninstall --yes --quiet pip \
 && find /opt/crproxy -name tests -path '*/site-packages/*' -prune -exec rm -r {} +

FROM ${BASE}
ARG BASE
# What is known before it is built; a release adds when it was made, of which commit, and where that is.
LABEL org.opencontainers.image.title="crproxy" \
      org.opencontainers.image.description="A private mirror proxy for every container registry" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /opt/crproxy /opt/crproxy
# Numbers, so that runAsNonRoot can be checked; a volume that is new gets the owner of what it covers.
RUN mkdir --mode=0750 /data && chown 65532:65532 /data && mkdir /etc/crproxy
USER 65532:65532
ENV PATH=/opt/crproxy/bin:$PATH PYTHONUNBUFFERED=1 STATE_DIRECTORY=/data
VOLUME /data
# 5000 without a domain; 80 and 443 with one.
EXPOSE 5000 80 443
# Its own socket answers whatever it listens on otherwise; a daemon that has come to a standstill does not.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["python", "-m", "crproxy.admin.health", "/data/admin.sock"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["twistd", "--nodaemon", "--pidfile=", "crproxy"]
# Any other arguments are options of crproxy, in place of these.
CMD ["--http", "tcp:5000"]
