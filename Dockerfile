# One image for the API, the workers and migrations; the command chooses. It is the same with and
# without a GPU: CUDA's libraries come with torch's own package, the driver from the machine
# (docker-compose.gpu.yml).
FROM node:24-slim AS annotator
WORKDIR /src/backend/web
COPY backend/web/package.json backend/web/package-lock.json backend/web/.npmrc* ./
RUN npm ci --no-audit --no-fund
COPY backend/web/ ./
RUN npm run build

FROM python:3.12-slim AS installed
RUN pip install --no-cache-dir uv==0.13.9 && python -m venv /venv
# what the service needs, and none of the tests' tools
COPY requirements/service.txt /requirements.txt
RUN uv pip sync --python /venv/bin/python --no-cache --compile-bytecode /requirements.txt
WORKDIR /app
COPY pyproject.toml README.md ./
COPY backend/ backend/
COPY models/ models/
COPY worker/ worker/
COPY migrations/ migrations/
COPY --from=annotator /src/backend/static/ backend/static/
RUN uv pip install --python /venv/bin/python --no-cache --no-deps -e . && \
    python -m compileall -q backend models worker migrations

FROM python:3.12-slim AS membrana
# a number, so that an orchestrator can see that it is not root
RUN useradd --uid 10001 --create-home membrana && \
    install -d -o membrana -m 700 /data /keys
COPY --from=installed /venv /venv
COPY --from=installed /app /app
WORKDIR /app
# nothing is written but in /data, /keys and /tmp: the root may be read-only
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    MEMBRANA_DATA=/data \
    MEMBRANA_SIGNING_KEY=/keys/signing.pem \
    MEMBRANA_HOST=0.0.0.0
USER 10001
VOLUME /data /keys
EXPOSE 8000
CMD ["membrana", "api"]
