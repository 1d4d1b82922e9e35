# syntax=docker/dockerfile:1
# The S3 server of the compose file: versitygw, whose conditional create is atomic, in the version that the tests use.
FROM golang:1.26-alpine AS build
RUN CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' github.com/versity/versitygw/cmd/versitygw@v1.8.0

FROM alpine:3.22
# The user of the cluster's processes: it reads the secret that they read.
RUN adduser -D -H -u 10001 nautilus && install -d -o nautilus -g nautilus -m 0700 /data /etc/nautilus/secrets
COPY --from=build /go/bin/versitygw /usr/bin/versitygw
USER 10001:10001
# A bucket is a folder.
ENTRYPOINT ["/bin/sh", "-ec", "mkdir -p /data/nautilus; ROOT_SECRET_ACCESS_KEY=$(cat /etc/nautilus/secrets/s3-secret-key); export ROOT_SECRET_ACCESS_KEY; exec versitygw --port :9000 posix /data"]
