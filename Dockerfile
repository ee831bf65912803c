# Redial as one static binary: every role, the simulator and the short commands.
#
#   make image                                                # redial:dev, with the revision of the sources
#   docker build --build-arg REVISION=$(git rev-parse HEAD) --tag redial:dev .
#
# REVISION becomes the build id under which versioned workers run (redial version); .git is no part of the context.

FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG REVISION=
ARG TARGETOS
ARG TARGETARCH
ENV CGO_ENABLED=0
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X redial/app.buildID=$REVISION" -o /out/usr/local/bin/redial ./cmd/redial
# What a program expects of a system, and an empty image lacks. The folder is for a ledger in a file.
RUN mkdir -p /out/etc/ssl/certs /out/data /out/tmp \
    && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ \
    && chmod 1777 /out/tmp \
    && chown 65532:65532 /out/data

FROM scratch
ARG REVISION=
LABEL org.opencontainers.image.title="Redial" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision=$REVISION
COPY --from=build /out/ /
ENV PATH=/usr/local/bin HOME=/data
# A number, because Kubernetes cannot tell whether a name is root's.
USER 65532:65532
WORKDIR /data
# Worker, webhook, console and up, wherever their settings make them listen. Other roles name another, or none.
HEALTHCHECK --interval=5s --timeout=10s --start-period=30s --retries=3 CMD ["redial", "health"]
ENTRYPOINT ["redial"]
CMD ["up"]
