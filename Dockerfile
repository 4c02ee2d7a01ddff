# Jackfield with its two connectors, for linux/amd64 and linux/arm64: `make image` builds it.
# Pin the two images by digest with --build-arg RUST_IMAGE=…@sha256:… and RUNTIME_IMAGE=…@sha256:….
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${RUST_IMAGE} AS build
# The secret `ca` (PEM) holds further authorities to trust, for networks that look into TLS.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        ca-certificates make build-essential clang-19 wasi-libc pkg-config libssl-dev zlib1g-dev binutils && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# What the version names beside the release; a build from a tarball knows it from the tarball.
ARG JACKFIELD_COMMIT=
# Registry and target folder are kept between builds. What is built leaves by /out.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
    --mount=type=cache,id=jackfield-cargo,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=jackfield-target,target=/target,sharing=locked \
    RUSTUP_TOOLCHAIN="$RUST_VERSION" CARGO_TARGET_DIR=/target JACKFIELD_COMMIT="$JACKFIELD_COMMIT" scripts/build-tree /out && \
    install -d -m 0700 /out/state/jackfield

# The recorded exchange, for trying things out: `--target exchange`.
FROM ${RUNTIME_IMAGE} AS exchange
LABEL org.opencontainers.image.title="Jackfield's recorded exchange" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/exchange/ /
USER 65532:65532
EXPOSE 9000 9001
# As the first process of a container it would not end by a signal that it does not listen to.
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/bin/jackfield-exchange"]
CMD ["--listen", "0.0.0.0:9000", "--listen-rest", "0.0.0.0:9001", "--speed", "1x"]

FROM ${RUNTIME_IMAGE} AS jackfield
ARG JACKFIELD_VERSION=0.1.0
ARG JACKFIELD_COMMIT=
LABEL org.opencontainers.image.title="Jackfield" \
      org.opencontainers.image.description="A runtime for connectors as WebAssembly components" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${JACKFIELD_VERSION}" \
      org.opencontainers.image.revision="${JACKFIELD_COMMIT}"
# Everything of ours belongs to root, and nobody may write to it: compiled code lies there.
COPY --from=build /out/rootfs/ /
# The state volume is the user's own.
COPY --from=build --chown=65532:65532 /out/state/ /var/lib/
ENV JACKFIELD_COMPILED=/usr/lib/jackfield/compiled \
    JACKFIELD_PLUGINS=/usr/lib/jackfield/plugins
USER 65532:65532
WORKDIR /var/lib/jackfield
VOLUME ["/var/lib/jackfield"]
EXPOSE 8083
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/usr/bin/jackfield", "health", "/etc/jackfield/connectors.yaml"]
ENTRYPOINT ["/usr/bin/jackfield"]
CMD ["run", "/etc/jackfield/connectors.yaml"]
