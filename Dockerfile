# Oakmill's hub as an image: docker build -t oakmill . ; docker run -p 8411:8411 -v oakmill:/data oakmill
# Toolchains are no part of it, for licences' sake: they are installed into the volume, on the page of toolchains.

FROM node:22-bookworm-slim AS pages
WORKDIR /pages
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements/bootstrap.lock requirements/runtime.lock requirements/
RUN python -m pip install --no-cache-dir --require-hashes -r requirements/bootstrap.lock \
    && uv venv /opt/oakmill \
    && uv pip install --python /opt/oakmill/bin/python --compile-bytecode --require-hashes -r requirements/runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY docs docs
COPY src src
COPY --from=pages /pages/node_modules/htmx.org/dist/htmx.min.js src/oakmill/web/static/vendor/
COPY --from=pages /pages/node_modules/htmx.org/LICENSE src/oakmill/web/static/vendor/htmx.LICENSE
RUN uv build --wheel --out-dir /wheel . \
    && uv pip install --python /opt/oakmill/bin/python --compile-bytecode --no-deps /wheel/*.whl

FROM python:3.11-slim-bookworm
# bubblewrap keeps the vendors' tools apart where the engine lets it; else Landlock does. The rest is what they load.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap libusb-1.0-0 libgomp1 libgl1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --home-dir /data oakmill \
    && install -d -o oakmill -g oakmill -m 700 /data
COPY --from=build /opt/oakmill /opt/oakmill
ENV PATH=/opt/oakmill/bin:$PATH HOME=/data OAKMILL_HOME=/data OAKMILL_HOST=0.0.0.0 OAKMILL_INSTALL_TOOLCHAINS=true \
    PYTHONDONTWRITEBYTECODE=1 UV_CACHE_DIR=/data/uv-cache
USER 10001
VOLUME /data
EXPOSE 8411
HEALTHCHECK --start-period=30s --interval=15s --timeout=5s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8411/api/v1/health/ready', timeout=4)"]
ENTRYPOINT ["oakmill"]
CMD ["serve"]
