import type { Dashboard } from './frame.js';
import { durations, figure, graph } from './panels.js';
import { chosen, client, moved, quantile, query, rate, server, share, sum, traced } from './queries.js';

const calls = chosen('pktsvc_requests_total', client);
// Calls that their own caller gave up on purpose (canceled) did not fail.
const failures = chosen('pktsvc_requests_total', client, 'outcome=~"rejected|deadline|lost|refused"');
const duration = chosen('pktsvc_request_duration_seconds', client);
const ofCaller = quantile(0.99, 'type', duration);
// Of all jobs that are services: which of them this client calls is not known here.
const ofService =
  `histogram_quantile(0.99, sum by (type) (${rate(`pktsvc_request_duration_seconds{${server}}`)}` +
  ' and on (job, instance) pktsvc_server_state)) >= 0';

const now = {
  title: 'Now',
  panels: [
    figure(
      {
        title: 'Calls',
        help: 'Calls of this program that have ended, per second. Normal: as at the same time of other days. 0: it does not call, or its calls hang: see In flight.',
        unit: 'reqps',
        width: 6,
      },
      query('calls', sum('', rate(calls))),
    ),
    figure(
      {
        title: 'Failed',
        help: 'The share of calls that were rejected, ran into their deadline, were lost with their connection, or could not be sent. Normal: 0. If not: "Calls by outcome".',
        unit: 'percentunit',
        width: 6,
      },
      query('failed', share(sum('', rate(failures)), sum('', rate(calls)))),
    ).decimals(2),
    figure(
      {
        title: 'Duration now',
        help: 'What half and 99 % of the calls stay below, from the call to its answer. Normal: steady, a little above what the server takes.',
        unit: 's',
        width: 8,
      },
      query('p50', quantile(0.5, '', duration)),
      query('p99', quantile(0.99, '', duration)),
    ),
    figure(
      {
        title: 'Connections',
        help: 'Open connections of this program. Normal: as many as it is set up to keep. 0: it cannot reach the service.',
        unit: 'short',
        width: 4,
      },
      query('open', sum('', chosen('pktsvc_connections_open'))),
    ),
  ],
};

const red = {
  title: 'Calls',
  panels: [
    graph(
      {
        title: 'Calls by type',
        help: 'Calls that have ended, per second. Normal: as at the same time of other days.',
        unit: 'reqps',
        width: 8,
      },
      query('{{type}}', moved('type', calls)),
    ),
    graph(
      {
        title: 'Calls by outcome',
        help: 'Calls by how they ended, per second; only outcomes that occurred in the range of time. Normal: ok. rejected: the server said no, its own dashboards say why. deadline: too slow for the caller. lost: the connection ended before the answer. refused: it could not be sent at all.',
        unit: 'reqps',
        width: 8,
      },
      query('{{outcome}}', moved('outcome', calls)),
    ),
    graph(
      {
        title: 'Calls lost or too late by type',
        help: 'Calls per second that had no answer: the deadline passed, or the connection ended. Normal: a line "none" at 0; some lost in a drain. lost: repeat those that may be repeated, and see Closed by reason. deadline: see which side takes the time, below.',
        unit: 'reqps',
        width: 8,
      },
      query(
        '{{type}} {{outcome}}',
        moved('type, outcome', chosen('pktsvc_requests_total', client, 'outcome=~"deadline|lost|refused"')),
      ),
    ),
  ],
};

const time = {
  title: 'Time',
  panels: [
    durations(
      {
        title: 'Duration, p50 p90 p99',
        help: 'What half, 90 % and 99 % of the calls stay below, from the call to its answer. Normal: three steady lines. A dot is one call: click on it, then on its trace, which has the server\'s side, too.',
        width: 8,
      },
      traced('p50', quantile(0.5, '', duration)),
      traced('p90', quantile(0.9, '', duration)),
      traced('p99', quantile(0.99, '', duration)),
    ),
    durations(
      {
        title: 'Duration, client and service',
        help: 'What 99 % of the calls stay below, and what services count for the same types, whoever asks them. Normal: the client is a little above the service. Service high: it is slow. Client alone: the network, a full send queue, or this program has no CPU.',
        width: 8,
      },
      query('client {{type}}', ofCaller),
      query('service {{type}}', `(${ofService}) and on (type) (${ofCaller})`),
    ),
    graph(
      {
        title: 'Duration, client less service',
        help: 'The difference of these p99: about what network, queues and this program itself add. Normal: a fraction of a millisecond within a machine, a round trip otherwise. A little below 0 means nothing, as both are estimates. Much above: look at this program\'s CPU in Go runtime, then at the network.',
        unit: 's',
        width: 8,
      },
      query('{{type}}', `(${ofCaller}) - on (type) (${ofService})`),
    ),
  ],
};

const connections = {
  title: 'Connections',
  panels: [
    graph(
      {
        title: 'In flight',
        help: 'Calls that are sent and not answered, those that were given up included. Normal: follows the load. If it only rises: the server does not answer, see its Requests in flight.',
        unit: 'short',
        width: 6,
      },
      query('{{instance}}', sum('instance', chosen('pktsvc_requests_in_flight', client))),
    ),
    graph(
      {
        title: 'Answers nobody waited for',
        help: 'Answers per second that came after their call was given up (late), or that answer nothing (unknown). Normal: 0. late: the deadlines are shorter than the server needs. unknown: a fault of the server.',
        unit: 'ops',
        width: 6,
      },
      query('{{reason}}', sum('reason', rate(chosen('pktsvc_responses_dropped_total')))),
    ),
    graph(
      {
        title: 'Opened and closed',
        help: 'Connections of this program per second. Normal: 0, as connections are kept. Many: the server ends them, or cannot be reached; see Closed by reason.',
        unit: 'ops',
        width: 6,
      },
      query('opened', sum('', rate(chosen('pktsvc_connections_opened_total')))),
      query('closed', sum('', rate(chosen('pktsvc_connections_closed_total')))),
    ),
    graph(
      {
        title: 'Closed by reason',
        help: 'Why connections ended, per second; only reasons that occurred in the range of time. Normal: a line "none" at 0, or shutdown. stream_end, read_error: the server is gone or was killed. timeout: nothing came for too long.',
        unit: 'ops',
        width: 6,
      },
      query('{{reason}}', moved('reason', chosen('pktsvc_connections_closed_total'))),
    ),
  ],
};

export const clientSide: Dashboard = {
  name: 'client',
  help: 'Requests as a program sees them that makes them: the load generator, or a service that calls others.',
  jobs: 'pktsvc_build_info',
  job: 'pktsvc-bench',
  rows: [now, red, time, connections],
};
