import { explore, rejected, type Dashboard } from './frame.js';
import { durations, figure, graph, heatmap, link } from './panels.js';
import {
  byStage, chosen, client, failed, moved, ofType, perRequest, quantile, query, rate, server, share, sum, traced,
} from './queries.js';

const requests = chosen('pktsvc_requests_total', server, ofType);
const rejections = chosen('pktsvc_requests_rejected_total', ofType);
const failures = chosen('pktsvc_requests_rejected_total', ofType, failed);
const duration = chosen('pktsvc_request_duration_seconds', server, ofType);
const timed = chosen('pktsvc_request_duration_seconds_count', server, ofType);
// As the latency objective counts: by the classic bucket, which ends at 250 ms exactly.
const inTime = chosen('pktsvc_request_duration_seconds_bucket', server, ofType, 'le="0.25"');

const ratio = (by: string, part: string, whole: string) => share(sum(by, rate(part)), sum(by, rate(whole)));

// Of all jobs: which of them call this one is not known here.
const callers = perRequest(
  `sum by (stage) (${rate(`pktsvc_request_stage_seconds_total{${client}, ${ofType}}`)})`,
  `sum(${rate(`pktsvc_request_duration_seconds_count{${client}, ${ofType}}`)})`,
);

const tracesOfType = link('Traces of this type', explore({ operation: '${type}' })).targetBlank(true);
const slowTraces = link('Traces over 250 ms', explore({ operation: '${type}', minDuration: '250ms' })).targetBlank(true);
const rejectedTraces = link('Rejected traces', explore({ operation: '${type}', ...rejected })).targetBlank(true);

const now = {
  title: 'Now',
  panels: [
    figure(
      {
        title: 'Requests',
        help: 'Requests of this type that have ended, per second. Normal: as at the same time of other days. 0: nobody asks for it, or all that do hang: see In flight below.',
        unit: 'reqps',
        width: 4,
      },
      query('requests', sum('', rate(requests))),
    ),
    figure(
      {
        title: 'Failed',
        help: 'The share of requests of this type that the service failed. Normal: 0. If not: "Rejections by reason".',
        unit: 'percentunit',
        width: 4,
      },
      query('failed', ratio('', failures, requests)),
    ).decimals(2),
    figure(
      {
        title: 'Within 250 ms',
        help: 'The share of requests of this type that took 250 ms at most, which is what the latency objective asks of 99 % of all types together. Normal: 100 % for types that are meant to be quick.',
        unit: 'percentunit',
        width: 4,
      },
      query('in time', ratio('', inTime, timed)),
    ).decimals(2),
    figure(
      {
        title: 'Duration now',
        help: 'What half, 90 % and 99 % of the requests stay below, from acceptance to the queued answer. Normal: steady. p99 far above p50: some wait, or some are different; see the heatmap.',
        unit: 's',
        width: 12,
      },
      query('p50', quantile(0.5, '', duration)),
      query('p90', quantile(0.9, '', duration)),
      query('p99', quantile(0.99, '', duration)),
    ),
  ],
};

const shape = {
  title: 'How long they take',
  panels: [
    heatmap(
      {
        title: 'Duration',
        help: 'How many requests per second took how long; the brighter, the more. Normal: one band that stays where it is. The band moved: all are slow. A second band above: some are, such as those that wait or miss a cache. A dot is one request: click on it, then on its trace.',
        width: 12,
      },
      traced('requests', sum('', rate(duration))),
    ).links([tracesOfType, slowTraces]),
    durations(
      {
        title: 'Duration, p50 p90 p99',
        help: 'What half, 90 % and 99 % of the requests stay below. Normal: three steady lines. All three rise: the handler or the machine. p99 alone: few requests are slow; click on a high dot, then on its trace, and look at it in Requests now and Logs by its connection and tag.',
        width: 12,
      },
      traced('p50', quantile(0.5, '', duration)),
      traced('p90', quantile(0.9, '', duration)),
      traced('p99', quantile(0.99, '', duration)),
    )
      .height(10)
      .links([tracesOfType, slowTraces]),
  ],
};

const stages = {
  title: 'Where the time goes',
  panels: [
    graph(
      {
        title: 'Time by stage',
        help: 'How long a request stays in each stage on average: in the queue for a handler, and in the handler. Normal: queue at 0. queue rises: too few handlers for the load (max_handlers), or slow ones. handler rises: the service, or what it depends on. Single requests have their stages in Requests now.',
        unit: 's',
        width: 12,
      },
      query('{{stage}}', byStage(server, ofType)),
    ).links([slowTraces]),
    graph(
      {
        title: 'Time by stage, callers of this type',
        help: 'The same as the callers see it whose metrics are here, whatever their job: in the queue to be sent, with the peer and on the way, and until the answer was delivered. Normal: peer is nearly all, and what it is above handler beside it is the way. queue: the caller is at max_in_flight, or the peer takes no bytes. deliver: the caller has no CPU.',
        unit: 's',
        width: 12,
      },
      query('{{stage}}', callers),
    ),
  ],
};

const ends = {
  title: 'How they end',
  panels: [
    graph(
      {
        title: 'Requests by outcome',
        help: 'Requests of clients by how they ended, per second; only outcomes that occurred in the range of time. Normal: ok, and rejected where a no is a normal answer. lost: the client went away before its answer.',
        unit: 'reqps',
        width: 8,
      },
      query('{{outcome}}', moved('outcome', requests)),
    ).links([rejectedTraces]),
    graph(
      {
        title: 'Rejections by reason',
        help: 'Requests that were not answered ok, per second; only reasons that occurred in the range of time. Normal: a line "none" at 0, or declined. The service failed: busy, handler_error, panic, bad_result. The caller did: forbidden, undecodable, unknown_channel, unknown_type, tag_in_use. requests_ended: in a drain.',
        unit: 'reqps',
        width: 8,
      },
      query('{{reason}}', moved('reason', rejections)),
    ).links([rejectedTraces]),
    graph(
      {
        title: 'Share within 250 ms',
        help: 'The share of requests that took 250 ms at most. Normal: 100 % for types that are meant to be quick. A type that is slow by its nature uses up the latency budget of all: give it a job of its own, or change the objective.',
        unit: 'percentunit',
        width: 8,
      },
      query('in time', ratio('', inTime, timed)),
    ).max(1),
  ],
};

const spread = {
  title: 'By instance',
  panels: [
    graph(
      {
        title: 'Requests by instance',
        help: 'Requests of this type per second. Normal: spread like the connections. One instance has most: a few connections carry most of the load.',
        unit: 'reqps',
        width: 8,
      },
      query('{{instance}}', sum('instance', rate(requests))),
    ),
    durations(
      {
        title: 'Duration by instance, p99',
        help: 'What 99 % of the requests stay below, on each instance. Normal: the same everywhere. One instance is slow: look at its machine, and take it out. All: the handler, or what it depends on.',
        width: 8,
      },
      traced('{{instance}}', quantile(0.99, 'instance', duration)),
    ),
    graph(
      {
        title: 'In flight, all types',
        help: 'Requests that are accepted and not answered. Normal: follows the load. High, while no requests end: handlers hang. Requests now lists them by age, with connection and tag.',
        unit: 'short',
        width: 8,
      },
      query('{{instance}}', sum('instance', chosen('pktsvc_requests_in_flight', server))),
    ),
  ],
};

export const oneType: Dashboard = {
  name: 'type',
  help: 'One type of request: how many, how they end, how long they take, and single ones of them as traces.',
  jobs: 'pktsvc_server_state',
  job: 'pktsvc',
  ofOneType: true,
  rows: [now, shape, stages, ends, spread],
};
