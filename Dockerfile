# Built in two steps, so that compilers and caches stay out of what runs.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY triage triage
COPY rules rules
COPY templates templates
COPY fixtures fixtures
RUN python -m venv /opt/triage \
 && /opt/triage/bin/pip install --no-cache-dir --constraint constraints.txt '.[postgresql]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/triage --create-home triage
COPY --from=build /opt/triage /opt/triage
# Two arenas are enough for threads of which one runs at a time, and save memory.
ENV PATH=/opt/triage/bin:$PATH PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2
USER triage
# The settings are mounted here, read-only; the SQLite store lies in the volume.
WORKDIR /var/lib/triage
VOLUME /var/lib/triage
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s \
  CMD ["triage", "status", "--check", "--config", "/etc/triage/triage.toml"]
ENTRYPOINT ["triage"]
CMD ["run", "--config", "/etc/triage/triage.toml"]
