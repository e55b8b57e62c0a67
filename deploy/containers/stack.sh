# shellcheck shell=bash
# The whole of docker-compose.yml but Grafana, seen from inside its network.

compose() { "$work/bin/docker-compose" --project-directory "$root" --file "$root/docker-compose.yml" "$@"; }

stack_checks() {
  mapfile -t services < <(compose --profile load config --services | grep -vx grafana | sort)
  stack_up
  stack_contained
  stack_metrics
  stack_traces
  stack_restart
  stack_alert
  stack_down
}

# inside URL...: what a URL answers inside the network, by names of services.
inside() { compose exec -T prometheus wget -q -O - "$@"; }

# query PROMQL: the values of an instant query, one a line.
query() {
  inside "http://prometheus:9090/api/v1/query?query=$(jq -rn --arg q "$1" '$q|@uri')" | jq -r '.data.result[].value[1]'
}

# series N PROMQL: the query has at least N series, all of them numbers above 0.
series() {
  query "$2" | awk -v want="$1" '{n++; if (!($1 > 0)) bad++} END {exit !(n >= want && !bad)}'
}

stack_up() {
  local start=$SECONDS
  compose up --wait --wait-timeout 180 --no-build --detach "${services[@]}" >"$work/up.log" 2>&1 || {
    tail -30 "$work/up.log" >&2
    compose logs --tail 20 >&2
    fail "the stack comes up and turns healthy"
  }
  pass "up --wait: ${services[*]} are healthy"
  fact "stack, up to all healthy" "$((SECONDS - start)) s"
}

stack_contained() {
  local container
  for container in $(compose ps --quiet); do
    docker inspect "$container" | jq -e '.[0].HostConfig | .ReadonlyRootfs and .Memory > 0 and .NanoCpus > 0 and .PidsLimit > 0
      and .CapDrop == ["ALL"] and .SecurityOpt == ["no-new-privileges:true"]' >/dev/null || fail "$container is contained"
    awk '$1 == "Uid:" && $2 == 0 {exit 1}' "/proc/$(docker inspect -f '{{.State.Pid}}' "$container")/status" || fail "$container is not root"
  done
  pass "every container: read-only, not root, without capabilities, with limits in force"
  equal "published ports, all on loopback" "127.0.0.1:16686 127.0.0.1:7450 127.0.0.1:7451 127.0.0.1:9090" \
    "$(ss -Hltn | awk '{print $4}' | grep -v '^127.0.0.11:' | sort | xargs)"
  equal "a request from outside, by the published port" olleh "$("$work/pktsvc" call --addr tcp://127.0.0.1:7450 --type 1 --data hello)"
  check "the admin pages, by the published port" curl -fsS -o "$work/logz.json" http://127.0.0.1:7451/logz
}

stack_metrics() {
  eventually 30 "Prometheus scrapes the service" series 1 'up{job="pktsvc"}'
  eventually 30 "Prometheus scrapes the 5 clients" series 5 'up{job="pktsvc-bench"}'
  eventually 60 "5 types of requests are answered" series 5 'rate(pktsvc_requests_total{job="pktsvc",role="server",outcome="ok"}[30s]) > 0'
  eventually 60 "calls are answered, as the clients see it" series 5 'rate(pktsvc_requests_total{job="pktsvc-bench",role="client",outcome="ok"}[30s]) > 0'
  eventually 60 "quantiles from native histograms" series 5 'histogram_quantile(0.99, rate(pktsvc_request_duration_seconds{role="server"}[1m])) > 0'
  eventually 60 "recording rules give values" series 5 'job_type:pktsvc_requests:rate5m > 0'
  eventually 60 "the error budget is untouched" series 1 'job:pktsvc_slo_availability_budget:remaining30d == 1'
  equal "no alert" "" "$(inside http://prometheus:9090/api/v1/alerts | jq -r '.data.alerts[].labels.alertname')"
  equal "build that Prometheus sees" "$version" "$(inside 'http://prometheus:9090/api/v1/query?query=pktsvc_build_info%7Bjob="pktsvc"%7D' | jq -r '.data.result[0].metric.version')"
  fact "requests answered per second" "$(query 'sum(rate(pktsvc_requests_total{job="pktsvc",role="server",outcome="ok"}[30s]))' | cut -d. -f1)"
  fact "CPU of the service under that load" "$(query 'rate(process_cpu_seconds_total{job="pktsvc"}[30s])' | cut -c1-5) cores"
  fact "memory of the service" "$(($(query 'process_resident_memory_bytes{job="pktsvc"}') / 1048576)) MiB"
}

# exemplar TRACE_FILE: an exemplar's trace is found in Jaeger. Spans leave in batches,
# every 5 seconds, so the exemplar is one that is older.
exemplar() {
  local id now
  now=$(date +%s)
  id=$(inside "http://prometheus:9090/api/v1/query_exemplars?query=pktsvc_request_duration_seconds%7Brole=%22server%22%7D&start=$((now - 300))&end=$((now - 10))" |
    jq -r '[.data[].exemplars[]] | max_by(.timestamp) | .labels.trace_id // empty')
  [[ -n $id ]] && inside "http://jaeger:16686/api/traces/$id" >"$1" && jq -e '.data[0].spans | length > 0' "$1" >/dev/null
}

stack_traces() {
  eventually 60 "both sides' traces are in Jaeger" both_sides
  eventually 60 "an exemplar's trace is found in Jaeger" exemplar "$work/trace.json"
  equal "the trace names connection, channel and tag" "pktsvc.channel pktsvc.conn pktsvc.tag" \
    "$(jq -r '.data[0].spans[0].tags[].key' "$work/trace.json" | grep -xE 'pktsvc\.(conn|channel|tag)' | sort | xargs)"
}

both_sides() {
  [[ $(inside http://jaeger:16686/api/services | jq -r '.data | sort | join(" ")') == *"pktsvc pktsvc-bench"* ]]
}

stack_restart() {
  local container
  container=$(compose ps --quiet pktsvc)
  compose stop pktsvc >/dev/null 2>&1
  equal "SIGTERM under load: exit code" 0 "$(docker inspect -f '{{.State.ExitCode}}' "$container")"
  check "SIGTERM under load: all answered" grep -q 'drained, everything accepted was answered' <(docker logs --tail 20 "$container" 2>&1)
  compose start pktsvc >/dev/null 2>&1
  eventually 60 "it is healthy again" is_healthy "$container"
  eventually 90 "and the load is back" series 5 'rate(pktsvc_requests_total{job="pktsvc",role="server",outcome="ok"}[15s]) > 0'
}

# firing ALERT
firing() { inside http://prometheus:9090/api/v1/alerts | jq -e --arg name "$1" 'any(.data.alerts[]; .labels.alertname == $name and .state == "firing")' >/dev/null; }

stack_alert() {
  local start=$SECONDS
  compose --profile fault up --wait --no-build --detach fault-fail >/dev/null 2>&1 || fail "the fault starts"
  eventually 300 "failing requests fire PktsvcAvailabilityBurnFast" firing PktsvcAvailabilityBurnFast
  fact "fault to PktsvcAvailabilityBurnFast" "$((SECONDS - start)) s"
  compose --profile fault rm --stop --force fault-fail >/dev/null 2>&1
}

stack_down() {
  compose --profile load down --volumes --timeout 45 >"$work/down.log" 2>&1 || fail "the stack goes down: $(<"$work/down.log")"
  equal "containers left" "" "$(docker ps --all --quiet)"
  equal "networks left, but for the engine's own" "host none" "$(docker network ls --format '{{.Name}}' | sort | xargs)"
  equal "volumes left" "" "$(docker volume ls --quiet)"
}
