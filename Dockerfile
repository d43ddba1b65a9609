# One image for the API, the workers and migrations; the command chooses.
FROM node:24-slim AS annotator
WORKDIR /src/backend/web
COPY backend/web/package.json backend/web/package-lock.json backend/web/.npmrc* ./
RUN npm ci --no-audit --no-fund
COPY backend/web/ ./
RUN npm run build

FROM python:3.12-slim
RUN pip install --no-cache-dir uv && useradd --create-home membrana && install -d -o membrana /data && \
    install -d -o membrana -m 700 /keys
WORKDIR /app
COPY requirements/lock.txt requirements/lock.txt
RUN uv pip sync --system --no-cache requirements/lock.txt
COPY pyproject.toml README.md ./
COPY backend/ backend/
COPY models/ models/
COPY worker/ worker/
COPY migrations/ migrations/
COPY --from=annotator /src/backend/static/ backend/static/
RUN uv pip install --system --no-cache --no-deps -e .
USER membrana
ENV MEMBRANA_DATA=/data MEMBRANA_HOST=0.0.0.0
VOLUME /data /keys
EXPOSE 8000
CMD ["membrana", "api"]
