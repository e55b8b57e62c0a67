# shellcheck shell=bash
# The image: what it holds, that building it again gives the same, how it runs.

image=pktsvc:local
version=v0.0.0-e2e
revision=$(git -C "$root" rev-parse HEAD)
epoch=$(git -C "$root" log -1 --format=%ct)

image_checks() {
  image_build
  image_content
  image_run
  image_drain
}

# build OPTION...: without network, and without anything from earlier builds.
build() {
  docker builder prune --all --force >/dev/null
  docker build --quiet --no-cache --network none \
    --build-arg VERSION="$version" --build-arg REVISION="$revision" --build-arg SOURCE_DATE_EPOCH="$epoch" \
    "$@" "$root"
}

# take IMAGE PATH FILE: copies a file out of an image.
take() {
  local container
  container=$(docker create "$1" none)
  docker cp "$container:$2" "$3"
  docker rm "$container" >/dev/null
}

image_build() {
  local first second start=$SECONDS
  build --tag "$image" >/dev/null || fail "the Dockerfile builds"
  fact "image build, cold" "$((SECONDS - start)) s"
  take "$image" /pktsvc "$work/pktsvc"
  build --tag pktsvc:again >/dev/null || fail "the Dockerfile builds again"
  take pktsvc:again /pktsvc "$work/pktsvc.again"
  first=$(sha256sum <"$work/pktsvc" | cut -d' ' -f1)
  second=$(sha256sum <"$work/pktsvc.again" | cut -d' ' -f1)
  equal "two builds from nothing give one program, sha256" "$first" "$second"
  fact "sha256 of the program" "$first"
  equal "and the same layers" "$(docker inspect -f '{{.RootFS.Layers}}' "$image")" "$(docker inspect -f '{{.RootFS.Layers}}' pktsvc:again)"

  build --target build --platform linux/arm64 --tag pktsvc:arm64 >/dev/null || fail "the Dockerfile builds for arm64"
  take pktsvc:arm64 /out/pktsvc "$work/pktsvc.arm64"
  equal "the program for arm64 is one" arm64 "$(go version -m "$work/pktsvc.arm64" | sed -n 's/.*GOARCH=//p')"
  docker rmi pktsvc:again pktsvc:arm64 >/dev/null
}

image_content() {
  local program base
  program=$(stat -c %s "$work/pktsvc")
  base=$(docker inspect -f '{{.Size}}' "$base_image")
  equal "the base and the program are all there is, bytes" "$((base + program))" "$(docker inspect -f '{{.Size}}' "$image")"
  fact "program, added to the base image" "$((program / 1024)) KiB"
  fact "program's layer, compressed" "$(($(gzip -c "$work/pktsvc" | wc -c) / 1024)) KiB"
  equal "version and revision are stamped" "$version $revision" \
    "$(docker run --rm --network none "$image" version --json | jq -r '.version + " " + .revision')"
  equal "and stand on the image" "$version $revision" \
    "$(docker inspect "$image" | jq -r '.[0].Config.Labels | ."org.opencontainers.image.version" + " " + ."org.opencontainers.image.revision"')"
  equal "signal" SIGTERM "$(docker inspect -f '{{.Config.StopSignal}}' "$image")"
}

# health CONTAINER
health() { docker inspect -f '{{.State.Health.Status}}' "$1"; }

is_healthy() { [[ $(health "$1") == healthy ]]; }

# within CONTAINER COMMAND...: a program of this machine in the container's network.
within() {
  local pid
  pid=$(docker inspect -f '{{.State.Pid}}' "$1")
  shift
  nsenter --net --target "$pid" "$@"
}

call() { within "$1" "$work/pktsvc" call --addr tcp://127.0.0.1:7450 "${@:2}"; }

image_run() {
  local start answered pid
  docker create --name one --read-only --cap-drop ALL --security-opt no-new-privileges --network none --memory 256m "$image" >/dev/null
  start=$(milliseconds)
  docker start one >/dev/null
  until call one --type 0 --data hello >/dev/null 2>&1; do
    (($(milliseconds) < start + 10000)) || fail "the container answers"
    sleep 0.01
  done
  answered=$(milliseconds)
  pass "a container answers, read-only, without capabilities, without network"
  fact "docker start to the first answer" "$((answered - start)) ms"
  eventually 30 "its health check turns healthy" is_healthy one
  fact "docker start to healthy" "$(($(milliseconds) - start)) ms, one interval of the health check"

  pid=$(docker inspect -f '{{.State.Pid}}' one)
  equal "its user" 65532 "$(awk '$1 == "Uid:" {print $2}' "/proc/$pid/status")"
  equal "its capabilities" 0000000000000000 "$(awk '$1 == "CapEff:" {print $2}' "/proc/$pid/status")"
  equal "what it has written" "" "$(docker diff one)"
  equal "addresses with the admin port" 127.0.0.1:7451 "$(within one ss -Hltn 'sport = :7451' | awk '{print $4}')"
  fact "memory, idle" "$(awk '$1 == "VmRSS:" {print $2}' "/proc/$pid/status") KiB"
}

image_drain() {
  call one --type 5 --data 2000 >"$work/slow.out" 2>&1 &
  local slow=$!
  eventually 5 "a request of 2 s is in flight" in_flight one 1
  docker stop --time 45 one >/dev/null
  wait "$slow" || fail "the request in flight is answered during the stop: $(<"$work/slow.out")"
  pass "SIGTERM: the request in flight is answered"
  equal "SIGTERM: exit code" 0 "$(docker inspect -f '{{.State.ExitCode}}' one)"
  docker rm one >/dev/null
}

# in_flight CONTAINER N
in_flight() {
  [[ $(within "$1" curl -fsS http://127.0.0.1:7451/metrics | awk '/^pktsvc_requests_in_flight\{role="server"\}/ {print $2}') == "$2" ]]
}
