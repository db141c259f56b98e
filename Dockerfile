# The image of both processes: docker build --tag bizrq .
# What the first stage makes is what the tests run: testbed/image.py takes the same steps without an engine.
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv /opt/build \
 && /opt/build/bin/python -m pip install --require-hashes -r requirements/build.txt
RUN python -m venv --without-pip /opt/bizrq \
 && /opt/build/bin/python -m pip --python /opt/bizrq/bin/python install \
      --require-hashes --only-binary :all: -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/build/bin/python -m pip --python /opt/bizrq/bin/python install --no-deps --no-index dist/*.whl

FROM ${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="bizrq" \
      org.opencontainers.image.description="Kubernetes quotas that follow the organisation" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/bizrq /opt/bizrq
ENV PATH=/opt/bizrq/bin:$PATH
# Nobody by name: clusters that demand a user other than root want to see a number.
USER 65532:65532
WORKDIR /
EXPOSE 8080 8081 9443
ENTRYPOINT ["bizrq"]
