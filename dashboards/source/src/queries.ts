// PromQL that the dashboards share. Variables are $job, $instance, $type, and of
// Grafana's own $__rate_interval and $__range alone, so that a test can fill them in.

/** One query of a panel and the name of its lines. */
export interface Query {
  legend: string;
  expr: string;
  /** Shows the exemplars of the histogram that expr reads. */
  exemplars?: boolean;
}

/** A query of a panel. */
export const query = (legend: string, expr: string): Query => ({ legend, expr });

/** A query whose panel shows exemplars, each a way to a trace. */
export const traced = (legend: string, expr: string): Query => ({ legend, expr, exemplars: true });

/** The series of metric of the chosen job and instances, narrowed by matchers. */
export const chosen = (metric: string, ...matchers: string[]) =>
  `${metric}{${['job=~"$job"', 'instance=~"$instance"', ...matchers].join(', ')}}`;

/** What is recorded for the chosen job, all its instances together. */
export const recorded = (record: string) => `${record}{job=~"$job"}`;

/** Growth of a counter, or of a histogram, per second. */
export const rate = (series: string) => `rate(${series}[$__rate_interval])`;

/** The sum over all labels but some; over all labels if by is empty. */
export const sum = (by: string, expr: string) => (by ? `sum by (${by}) (${expr})` : `sum(${expr})`);

/** The highest over all labels but some. */
export const max = (by: string, expr: string) => (by ? `max by (${by}) (${expr})` : `max(${expr})`);

/** a in proportion to b; 0 where b is 0. */
export const share = (a: string, b: string) => `${a} / clamp_min(${b}, 1e-9)`;

/**
 * Counters per second, but only those that grew in the range of time that is shown.
 * There are dozens of reasons and types, and nearly all stay at 0. If none grew there
 * is one line at 0 with the name "none", which tells a healthy service from one that
 * is not scraped.
 */
export const moved = (by: string, series: string) =>
  `(${sum(by, rate(series))} and ${sum(by, `increase(${series}[$__range] @ end())`)} > 0)` +
  ` or on () label_replace(vector(0), "${by.split(',')[0]}", "none", "", "")`;

/** How long an answered request stays in each stage, on average; 0 where nothing happened. */
export const byStage = (...matchers: string[]) =>
  perRequest(
    sum('stage', rate(chosen('pktsvc_request_stage_seconds_total', ...matchers))),
    sum('', rate(chosen('pktsvc_request_duration_seconds_count', ...matchers))),
  );

/** Times by stage in proportion to how many requests they are of. */
export const perRequest = (times: string, requests: string) =>
  `${times} / on () group_left () clamp_min(${requests}, 1e-9)`;

/** A quantile of a native histogram, for each value of the labels; nothing where nothing happened. */
export const quantile = (q: number, by: string, histogram: string) =>
  `histogram_quantile(${q}, ${sum(by, rate(histogram))}) >= 0`;

/** Matches the role of a server, or of a client, in a request. */
export const server = 'role="server"';
export const client = 'role="client"';

/** Matches the chosen type of request. */
export const ofType = 'type=~"$type"';

/** Matches rejections that are the service's own fault: those that the SLO counts. */
export const failed = 'reason=~"busy|handler_error|panic|bad_result"';
