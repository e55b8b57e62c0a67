# One static program on a base without a shell. Nothing here needs the network but
# the two base images and the modules that go.sum names.
FROM --platform=$BUILDPLATFORM golang:1.26.8-alpine AS build
WORKDIR /src

COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download

COPY cmd ./cmd
COPY pkg ./pkg

ARG TARGETOS
ARG TARGETARCH
# There is no .git here to read these from.
ARG VERSION=
ARG REVISION=
# The file's time, so that the layer, too, is the same for the same source.
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -o /out/pktsvc -ldflags "-s -w \
      -X github.com/pktsvc/pktsvc/pkg/server.version=$VERSION \
      -X github.com/pktsvc/pktsvc/pkg/server.revision=$REVISION" ./cmd/pktsvc && \
    mkdir /out/data && touch -d "@$SOURCE_DATE_EPOCH" /out/pktsvc /out/data

# Not scratch: this has the certificates of public authorities, for trace backends
# on https, a user that is not root, and /tmp.
FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="pktsvc" \
      org.opencontainers.image.description="Observable request/response services over packet streams" \
      org.opencontainers.image.source="https://github.com/pktsvc/pktsvc" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="gcr.io/distroless/static-debian12:nonroot"
COPY --from=build /out/pktsvc /pktsvc
# A volume takes its owner from here.
COPY --from=build --chown=65532:65532 /out/data /data

# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Packets on all interfaces, or nobody could reach them. The admin server stays on
# the container's own loopback until PKTSVC_ADMIN says otherwise.
ENV PKTSVC_LISTEN=tcp://:7450 PKTSVC_DATA=/data
VOLUME /data
EXPOSE 7450 7451
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=4s --start-period=10s --retries=3 \
    CMD ["/pktsvc", "healthcheck"]
ENTRYPOINT ["/pktsvc"]
CMD ["serve"]
