# One image for all roles of nomadwatch: the command names the role. docs/compose.md says how to use it.
FROM python:3.11.15-slim-bookworm AS build
WORKDIR /build
# An environment without pip, so that the final image has none. The build stage's pip fills it.
RUN python -m venv --without-pip /opt/nomadwatch
COPY requirements-run.lock requirements-build.lock pyproject.toml README.md LICENSE ./
COPY agents agents
COPY broker broker
COPY nomadwatch nomadwatch
COPY simulator simulator
COPY sinks sinks
COPY streams streams
# Without what only tests need. Each package is checked against its hash and has a wheel, so nothing is compiled.
RUN pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-build.lock \
 && pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /opt/nomadwatch/bin/python install --no-cache-dir --only-binary :all: --require-hashes \
    -r requirements-run.lock \
 && pip --python /opt/nomadwatch/bin/python install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM python:3.11.15-slim-bookworm
RUN pip uninstall --yes setuptools wheel pip \
 && useradd --system --uid 10001 --user-group --home-dir /var/lib/nomadwatch --shell /usr/sbin/nologin nomadwatch \
 && install --directory --owner nomadwatch --group nomadwatch --mode 700 /var/lib/nomadwatch
COPY --from=build /opt/nomadwatch /opt/nomadwatch
ENV PATH=/opt/nomadwatch/bin:$PATH PYTHONUNBUFFERED=1
USER nomadwatch
WORKDIR /var/lib/nomadwatch
ENTRYPOINT ["nomadwatch"]
CMD ["--help"]
