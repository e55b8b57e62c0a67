import type { Dashboard } from './frame.js';
import { byValue, dashed, durations, figure, graph, link, steps, table } from './panels.js';
import {
  chosen, failed, max, moved, quantile, query, rate, recorded, server, share, sum, traced,
} from './queries.js';

const requests = chosen('pktsvc_requests_total', server);
const failures = chosen('pktsvc_requests_rejected_total', failed);
const duration = chosen('pktsvc_request_duration_seconds', server);

const toType = (name: string) =>
  link(
    'This type',
    `/d/pktsvc-type?\${__url_time_range}&\${datasource:queryparam}&\${traces:queryparam}&\${admin:queryparam}` +
      `&\${job:queryparam}&\${instance:queryparam}&var-type=\${${name}}`,
  );

const runbook = link('Runbook', 'https://github.com/pktsvc/pktsvc/blob/main/docs/OPERATIONS.md#runbook').targetBlank(true);

const state = {
  title: 'State now',
  panels: [
    figure(
      {
        title: 'Instances up',
        help: 'How many instances Prometheus reaches, of how many it knows. Normal: both are the same. If not: look at the instance itself, its container or unit, and its /livez.',
        unit: 'short',
        width: 3,
      },
      query('up', `sum(${chosen('up')})`),
      query('known', `count(${chosen('up')})`),
    ),
    figure(
      {
        title: 'Server state',
        help: 'How many instances are in each state. Normal: all are ready, none starting; draining during a deploy. Stuck in starting: a listener could not be opened, see Logs. Stuck in draining: see the alert PktsvcDrainStuck in the runbook.',
        unit: 'short',
        width: 4,
      },
      query('{{state}}', sum('state', chosen('pktsvc_server_state'))),
    ),
    figure(
      {
        title: 'Instances by version',
        help: 'How many instances run which build. Normal: one version; two during a deploy. If two stay: the deploy has stopped half way.',
        unit: 'short',
        width: 3,
      },
      query('{{version}} {{revision}}', `count by (version, revision) (${chosen('pktsvc_build_info')})`),
    ),
    figure(
      {
        title: 'Alerts firing',
        help: 'Alerts of this service that fire now, of all jobs. Normal: 0. If not: they are listed below, and each has a section in the runbook.',
        unit: 'short',
        width: 2,
      },
      query('firing', 'count(ALERTS{alertname=~"Pktsvc.+", alertstate="firing"}) or vector(0)'),
    )
      .colorScheme(byValue())
      .thresholds(steps('green', [1, 'red'])),
    figure(
      {
        title: 'Availability, 5 minutes',
        help: 'The share of requests that the service did not fail, of all instances of the job, beside the objective. Failed are busy, handler_error, panic, bad_result. Normal: above the objective. If not: "Failures" below says which type and why.',
        unit: 'percentunit',
        width: 3,
      },
      query('now', `1 - ${recorded('job:pktsvc_slo_errors:ratio_rate5m')}`),
      query('objective', recorded('job:pktsvc_slo_availability_objective:ratio')),
    ).decimals(3),
    figure(
      {
        title: 'In time, 5 minutes',
        help: 'The share of requests that took 250 ms at most, of all instances of the job, beside the objective. Normal: above the objective. If not: "Slowest 1 %" below says which type; follow one of its dots to a trace.',
        unit: 'percentunit',
        width: 3,
      },
      query('now', `1 - ${recorded('job:pktsvc_slo_slow:ratio_rate5m')}`),
      query('objective', recorded('job:pktsvc_slo_latency_objective:ratio')),
    ).decimals(2),
    figure(
      {
        title: 'Error budget left, 30 days',
        help: 'What is left of the failed and of the slow requests that the objectives allow in 30 days: 100 % is untouched, 0 is used up. Normal: above 25 %. If not: no risky deploys, and see which burn rate below is above 1.',
        unit: 'percentunit',
        width: 6,
      },
      query('availability', recorded('job:pktsvc_slo_availability_budget:remaining30d')),
      query('latency', recorded('job:pktsvc_slo_latency_budget:remaining30d')),
    )
      .decimals(1)
      .colorScheme(byValue())
      .thresholds(steps('red', [0, 'orange'], [0.25, 'green'])),
  ],
};

const present = {
  title: 'Alerts and types',
  panels: [
    table(
      {
        title: 'Alerts',
        help: 'Alerts that fire or are pending (true, but not for long enough yet), of all jobs. Normal: one row "none". If not: open the section of that name in the runbook.',
        unit: 'short',
        width: 12,
      },
      ['severity', 'alertname', 'alertstate', 'job', 'instance', 'type', 'reason'],
      query(
        'active',
        max('severity, alertname, alertstate, job, instance, type, reason', 'ALERTS{alertname=~"Pktsvc.+"}') +
          ' or on () label_replace(vector(0), "alertname", "none", "", "")',
      ),
    )
      .overrideByName('alertstate', [
        { id: 'mappings', value: [{ type: 'value', options: { firing: { color: 'red' }, pending: { color: 'orange' } } }] },
        { id: 'custom.cellOptions', value: { type: 'color-text' } },
      ])
      .dataLinks([runbook]),
    table(
      {
        title: 'Types of requests',
        help: 'Each registered type now: requests per second, those that the service failed, and how long half, 90 % and 99 % of them took at most. No duration: no request of late. Click on a row for the dashboard of its type.',
        unit: 's',
        width: 12,
      },
      ['type'],
      query('requests/s', sum('type', rate(requests))),
      query('failed/s', sum('type', rate(failures))),
      query('p50', quantile(0.5, 'type', duration)),
      query('p90', quantile(0.9, 'type', duration)),
      query('p99', quantile(0.99, 'type', duration)),
    )
      .overrideByName('requests/s', [{ id: 'unit', value: 'reqps' }])
      .overrideByName('failed/s', [{ id: 'unit', value: 'reqps' }])
      .dataLinks([toType('__data.fields.type')]),
  ],
};

const red = {
  title: 'Requests',
  panels: [
    graph(
      {
        title: 'Requests by type',
        help: 'Requests of clients that have ended, per second, however they ended. Normal: as at the same time of other days. Sudden fall: do clients still reach it (Connections)? Sudden rise: a client that repeats itself, see Connections now, sorted by requests.',
        unit: 'reqps',
        width: 8,
      },
      query('{{type}}', sum('type', rate(requests))),
    ).dataLinks([toType('__field.labels.type')]),
    graph(
      {
        title: 'Failures by type and reason',
        help: 'Requests that the service failed, per second; only types and reasons that occurred in the range of time. Normal: a line "none" at 0. handler_error and panic: the handler, see Rejected traces and Logs. busy: too much accepted at a time, see Waiting. bad_result: a handler answers what cannot be sent.',
        unit: 'reqps',
        width: 8,
      },
      query('{{type}} {{reason}}', moved('type, reason', failures)),
    ).dataLinks([toType('__field.labels.type')]),
    durations(
      {
        title: 'Duration by type, p99',
        help: 'What 99 % of the requests stay below, from acceptance to the queued answer. Normal: steady for each type. All types rise together: the machine, see Saturation and Go runtime. One type: its handler. A dot is one request: click on it, then on its trace.',
        width: 8,
      },
      traced('{{type}}', quantile(0.99, 'type', duration)),
    ).dataLinks([toType('__field.labels.type')]),
  ],
};

/** How many times faster than allowed the budget is used, by window; 1 uses it up in 30 days exactly. */
const burn = (errors: string, objective: string) =>
  ['5m', '30m', '1h', '2h', '6h', '1d', '3d'].map((window) =>
    query(
      window,
      `${recorded(`job:pktsvc_slo_${errors}:ratio_rate${window}`)} / on (job) (1 - ${recorded(`job:pktsvc_slo_${objective}_objective:ratio`)})`,
    ),
  );

// The factors of the burn rate alerts.
const alerting = steps('green', [1, 'yellow'], [3, 'orange'], [6, 'red'], [14.4, 'dark-red']);

const slo = {
  title: 'Service level objectives',
  panels: [
    graph(
      {
        title: 'Burn rate, availability',
        help: 'How many times faster than allowed requests fail, by window. Normal: below 1. Alerts fire when a long and a short window are both above the dashed line: 14.4 (1h and 5m) and 6 (6h and 30m) page, 3 (1d and 2h) and 1 (3d and 6h) open a ticket. What to do: "Failures by type and reason".',
        unit: 'suffix:×',
        width: 12,
      },
      ...burn('errors', 'availability'),
    )
      .thresholds(alerting)
      .thresholdsStyle(dashed()),
    graph(
      {
        title: 'Burn rate, latency',
        help: 'How many times faster than allowed requests take longer than 250 ms, by window. Normal: below 1. The alerts are as for availability. What to do: "Duration by type, p99", then Saturation.',
        unit: 'suffix:×',
        width: 12,
      },
      ...burn('slow', 'latency'),
    )
      .thresholds(alerting)
      .thresholdsStyle(dashed()),
  ],
};

const saturation = {
  title: 'Saturation',
  panels: [
    graph(
      {
        title: 'Share of limits in use',
        help: 'How much of each limit the fullest instance uses. Normal: below 80 %. Connections: raise limits.connections or add instances. Memory for peers: see Connections. File descriptors: raise LimitNOFILE or ulimits. CPU: add instances, or look at a CPU profile.',
        unit: 'percentunit',
        width: 8,
      },
      query('connections', max('', share(chosen('pktsvc_connections_open'), chosen('pktsvc_server_connections_limit')))),
      query('memory for peers', max('', share(chosen('pktsvc_server_memory_used_bytes'), chosen('pktsvc_server_memory_limit_bytes')))),
      query('file descriptors', max('', share(chosen('process_open_fds'), chosen('process_max_fds')))),
      query('CPU', max('', share(rate(chosen('process_cpu_seconds_total')), chosen('go_sched_gomaxprocs_threads')))),
    )
      .max(1)
      .thresholds(steps('green', [0.8, 'orange']))
      .thresholdsStyle(dashed()),
    graph(
      {
        title: 'Waiting',
        help: 'Requests that are accepted and not answered (in flight), those of them that have no handler yet (queued), and connections that are not read since they have too many in flight (paused). Normal: none is queued or paused for long. If not: handlers are too slow or too few, see Requests now.',
        unit: 'short',
        width: 8,
      },
      query('in flight', sum('', chosen('pktsvc_requests_in_flight', server))),
      query('queued', sum('', chosen('pktsvc_requests_queued'))),
      query('paused connections', sum('', chosen('pktsvc_readers_paused'))),
    ),
    graph(
      {
        title: 'Memory by instance',
        help: 'Memory of the process, as the system counts it. Normal: follows connections and requests in flight, and falls again after a peak. If it only rises: see Go runtime, and take a heap profile.',
        unit: 'bytes',
        width: 8,
      },
      query('{{instance}}', chosen('process_resident_memory_bytes')),
    ),
  ],
};

export const overview: Dashboard = {
  name: 'overview',
  help: 'Is the service there, does it keep its objectives, and if not, which type of request and since when? Start here.',
  jobs: 'pktsvc_server_state',
  job: 'pktsvc',
  rows: [state, present, red, slo, saturation],
};
