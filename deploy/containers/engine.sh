# shellcheck shell=bash
# A Docker engine of this run's own.

engine_pid=

docker() { /usr/bin/docker "$@"; }

engine_start() {
  export DOCKER_HOST=unix://$work/engine.sock DOCKER_CONFIG=$work/client DOCKER_BUILDKIT=1
  mkdir "$DOCKER_CONFIG"
  # No default network, no rules of a firewall: containers meet on the compose
  # file's network alone, and published ports go through the engine's proxy.
  dockerd --host "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/engine.pid" \
    --bridge=none --iptables=false --ip6tables=false \
    --storage-driver "$(storage_driver)" --cgroup-parent "/$(basename "$work")" >"$work/engine.log" 2>&1 &
  engine_pid=$!
  local limit=$((SECONDS + 60))
  until docker info >/dev/null 2>&1; do
    if ((SECONDS >= limit)) || ! kill -0 "$engine_pid"; then
      tail -20 "$work/engine.log" >&2
      fail "the engine starts"
    fi
    sleep 0.2
  done
  pass "the engine runs: $(docker version -f '{{.Server.Version}}'), storage $(docker info -f '{{.Driver}}'), cgroup v$(docker info -f '{{.CgroupVersion}}')"
}

# storage_driver is overlay2 where the kernel and the file system can, else the slow
# one that always works.
storage_driver() {
  mkdir -p "$work/probe"/{lower,upper,work,merged}
  if mount -t overlay probe -o "lowerdir=$work/probe/lower,upperdir=$work/probe/upper,workdir=$work/probe/work" "$work/probe/merged" 2>/dev/null; then
    umount "$work/probe/merged"
    echo overlay2
  else
    echo vfs
  fi
}

engine_stop() {
  [[ -n $engine_pid ]] || return 0
  local pid=$engine_pid path
  engine_pid=
  kill -TERM "$pid" 2>/dev/null || true
  wait "$pid" || true
  while read -r path; do
    umount "$path"
  done < <(awk -v under="$work/" 'index($2, under) == 1 {print $2}' /proc/mounts)
  ! grep -q " $work/" /proc/mounts || fail "no mount is left"
  pass "the engine has ended, no mount is left"
}
