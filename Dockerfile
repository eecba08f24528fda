# Two images from one build:
#   docker build -t phonesocket .                          on Alpine (a shell for looking around)
#   docker build -t phonesocket --target from-scratch .    nothing but the binary and the CA certificates
# Any base will do, the binary is static: --build-arg BASE_IMAGE=debian:stable-slim
ARG GO_IMAGE=golang:1.26-alpine
ARG BASE_IMAGE=alpine

FROM ${GO_IMAGE} AS build
# By this label the container test finds what a build leaves behind.
LABEL phonesocket.stage=build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -tags nethttpomithttp2 \
      -ldflags "-s -w -X main.version=${VERSION}" \
      -o /out/phonesocket ./cmd/phonesocket
# A volume takes the owner of the directory that it covers.
RUN mkdir -p /out/state

FROM scratch AS from-scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/phonesocket /usr/local/bin/phonesocket
COPY LICENSE /usr/share/licenses/phonesocket/
COPY --from=build --chown=65532:65532 /out/state /var/lib/phonesocket
# Inside a container the published ports decide who gets in, so all addresses are served.
ENV HTTP_BIND=0.0.0.0
USER 65532:65532
EXPOSE 8085 8086 8087
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/local/bin/phonesocket", "health"]
ENTRYPOINT ["/usr/local/bin/phonesocket"]

FROM ${BASE_IMAGE}
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/phonesocket /usr/local/bin/phonesocket
COPY LICENSE /usr/share/licenses/phonesocket/
COPY --from=build --chown=65532:65532 /out/state /var/lib/phonesocket
ENV HTTP_BIND=0.0.0.0
USER 65532:65532
EXPOSE 8085 8086 8087
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/usr/local/bin/phonesocket", "health"]
ENTRYPOINT ["/usr/local/bin/phonesocket"]
