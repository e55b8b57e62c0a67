# shellcheck shell=bash
# Images made here in place of those that are pulled elsewhere: the same names and
# conventions (paths, users, entry points), as far as anything relies on them.

# The names, from the files that use them.
go_image=$(sed -n 's/^FROM --platform=[^ ]* \(golang:[^ ]*\) AS build$/\1/p' "$root/Dockerfile")
base_image=$(sed -n 's/^FROM \(gcr.io\/[^ ]*\)$/\1/p' "$root/Dockerfile")
prometheus_image=$(sed -n 's/^ *image: \(prom\/.*\)$/\1/p' "$root/docker-compose.yml")
jaeger_image=$(sed -n 's/^ *image: \(jaegertracing\/.*\)$/\1/p' "$root/docker-compose.yml")

standins() {
  local name
  for name in go_image base_image prometheus_image jaeger_image; do
    [[ -n ${!name} ]] || fail "$name is named in Dockerfile or docker-compose.yml"
  done
  standin_go
  standin_base
  standin_prometheus
  standin_jaeger
  pass "$go_image ($(go version | cut -d' ' -f3)), $base_image, $prometheus_image, $jaeger_image"
}

# standin IMAGE DIRECTORY CHANGE...: imports a directory, and removes it.
standin() {
  local image=$1 directory=$2 change options=()
  shift 2
  for change in "$@"; do options+=(--change "$change"); done
  tar -C "$directory" --numeric-owner -c . | docker import "${options[@]}" - "$image" >/dev/null
  rm -rf "$directory"
}

# rootfs makes a directory with users and, if asked for, a shell and its tools.
rootfs() {
  local directory=$work/rootfs tool
  mkdir -p "$directory"/{bin,etc/ssl/certs,root,home/nonroot}
  mkdir -m 1777 "$directory/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$directory/etc/passwd"
  printf 'root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n' >"$directory/etc/group"
  chown 65532:65532 "$directory/home/nonroot"
  if [[ ${1:-} == shell ]]; then
    cp /bin/busybox "$directory/bin/"
    for tool in $(/bin/busybox --list); do
      [[ $tool == busybox ]] || ln -s busybox "$directory/bin/$tool"
    done
  fi
  echo "$directory"
}

standin_go() {
  local directory
  directory=$(rootfs shell)
  mkdir -p "$directory/usr/local/go" "$directory/go"
  tar -C "$(go env GOROOT)" -c --exclude=./test --exclude=./doc --exclude=./api . | tar -C "$directory/usr/local/go" -x
  mv "$work/goproxy/download" "$directory/goproxy"
  standin "$go_image" "$directory" 'ENV PATH=/go/bin:/usr/local/go/bin:/bin' 'ENV GOPATH=/go' 'ENV GOTOOLCHAIN=local' 'ENV GOPROXY=file:///goproxy'
}

standin_base() {
  local directory
  directory=$(rootfs)
  cp /etc/ssl/certs/ca-certificates.crt "$directory/etc/ssl/certs/"
  standin "$base_image" "$directory" 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' 'USER 65532' 'WORKDIR /home/nonroot'
}

standin_prometheus() {
  local directory
  directory=$(rootfs shell)
  mkdir -p "$directory/etc/prometheus" "$directory/prometheus"
  cp "$COMPONENTS/prometheus" "$COMPONENTS/promtool" "$directory/bin/"
  chown 65534:65534 "$directory/prometheus"
  standin "$prometheus_image" "$directory" 'ENV PATH=/bin' 'USER nobody' 'WORKDIR /prometheus' 'VOLUME /prometheus' 'EXPOSE 9090' \
    'ENTRYPOINT ["/bin/prometheus"]' 'CMD ["--config.file=/etc/prometheus/prometheus.yml"]'
}

standin_jaeger() {
  local directory
  directory=$(rootfs shell)
  mkdir -p "$directory/cmd/jaeger"
  cp "$COMPONENTS/jaeger" "$directory/cmd/jaeger/jaeger-linux"
  standin "$jaeger_image" "$directory" 'ENV PATH=/bin' 'USER 10001' 'VOLUME /tmp' 'ENTRYPOINT ["/cmd/jaeger/jaeger-linux"]'
}
