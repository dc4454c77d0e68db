# syntax=docker/dockerfile:1
# The command `instant`, which needs nothing but its configuration.
FROM rust:1.94-slim-trixie AS builder
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY migrations migrations
COPY client/dist client/dist
COPY docs docs
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin instant && install -D target/release/instant /out/instant

FROM debian:trixie-slim
# The certificate authorities, for a Centrifugo or a database that is reached over TLS.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
# The folder of Centrifugo's configuration is a mount point: a volume takes over its owner.
RUN useradd --system --no-create-home --uid 10001 instant && install -d -o instant -g instant /etc/centrifugo
COPY --from=builder /out/instant /usr/local/bin/instant
USER instant
ENV INSTANT_CONFIG=/etc/instant/instant.toml
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["instant", "status", "--ready"]
CMD ["instant", "run"]
