# Two stages: the first builds a static binary, the second contains nothing else.
FROM golang:1.26-bookworm AS build

WORKDIR /src

# The modules change less often than the code: a layer of their own.
COPY go.mod go.sum ./
RUN go mod download

COPY . .

ARG VERSION=unknown
ARG COMMIT=
RUN CGO_ENABLED=0 go build -trimpath \
    -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" \
    -o /out/chat-messaging ./cmd/chat-messaging

# No shell, no package manager; certificates, time zones and an account "nonroot".
FROM gcr.io/distroless/static-debian12:nonroot

COPY --from=build /out/chat-messaging /chat-messaging

# By number, so that an orchestrator can tell that it is not root.
USER 65532:65532

EXPOSE 8002

# Only says that the process lives; /readyz knows about database and broker, and
# restarting this container would not bring those back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/chat-messaging", "healthcheck"]

ENTRYPOINT ["/chat-messaging"]
CMD ["serve"]
